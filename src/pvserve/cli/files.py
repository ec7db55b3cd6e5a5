"""Files that commands read and write for the user, besides model files.

Owns the errors of the file system in words.
"""

from __future__ import annotations

from pathlib import Path

from pvserve.errors import UsageError


def read_text(file: str) -> str:
    """The text of `file`. Raises UsageError where it cannot be read."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError("FileUnreadable", f"{file} cannot be read: {_why(error)}", subject=file) from None


def write_text(file: Path, text: str) -> None:
    """Writes `file`, and the directories above it. Raises UsageError where that cannot be."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("FileUnwritable", f"{file} cannot be written: {_why(error)}", subject=str(file)) from None


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is no UTF-8 text"
