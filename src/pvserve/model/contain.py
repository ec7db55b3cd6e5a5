"""Which names may be written below a directory, and which real files lie inside one.

Owns both rules; every name that comes from a directory, a manifest, a pod or an archive goes through here.
Names are refused, never cleaned: a cleaned name is another file than the one the user named.
"""

from __future__ import annotations

import os
import re

from pvserve.errors import Refused

MAX_COMPONENT = 255  # bytes, NAME_MAX of ext4, xfs, NFS and CephFS
MAX_PATH = 3800  # bytes: PATH_MAX is 4096, the rest is for the mount and the temporary directory in front

_DRIVE = re.compile(r"[A-Za-z]:")
# Most names: this alone shows that they break no rule below, and there may be a million of them.
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{,200}(/[A-Za-z0-9_-][A-Za-z0-9._-]{,200}){,15}")


def fault(path: str) -> str:
    """Why `path` may not be written below a directory, as one clause; empty when it may.

    A good path is relative, uses `/`, has no `.`, `..` or empty component, is valid UTF-8 and fits the limits above.
    Spaces, newlines, leading dashes and any Unicode are good. A backslash is an ordinary character on Linux,
    but a name that would climb or be absolute on Windows (`..\\x`, `C:\\x`, `\\\\host\\x`) is refused everywhere,
    so that a manifest means the same on every machine.
    """
    return "" if _PLAIN.fullmatch(path) else _fault(path)


def _fault(path: str) -> str:
    if not path:
        return "is empty"
    if "\0" in path:
        return "contains a NUL byte"
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if len(encoded) > MAX_PATH:
        return f"is longer than {MAX_PATH} bytes"
    if path[0] in "/\\" or _DRIVE.match(path):
        return "is not relative"
    for component in path.split("/"):
        if component in ("", "."):
            return "has an empty or `.` component"
        if ".." in component.split("\\"):
            return "climbs out with `..`"
        if len(component) > MAX_COMPONENT or len(component.encode()) > MAX_COMPONENT:
            return f"has a component longer than {MAX_COMPONENT} bytes"
    return ""


def safe_relative(path: str) -> str:
    """`path` itself, when it may be written below a directory.

    Raises:
        Refused: `UnsafeName`, with the name and the rule it breaks (see `fault`).
    """
    why = fault(path)
    if why:
        raise Refused(
            "UnsafeName",
            f"the name {shown(path)} {why}",
            subject=shown(path),
            remedy=("rename the file, or leave it out with --exclude",),
        )
    return path


def inside(root: str, real: str) -> bool:
    """Whether `real` is `root` or lies below it. Both must be absolute and free of links (`os.path.realpath`)."""
    return os.path.commonpath((root, real)) == root


def shown(name: str) -> str:
    """`name` fit for a terminal: quoted when odd, with control characters and non-UTF-8 bytes escaped."""
    if name and all(character.isprintable() and character not in " '\"\\" for character in name):
        return name
    escaped = "".join(
        character if character.isprintable() and character not in '"\\' else _escape(character) for character in name
    )
    return f'"{escaped}"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if 0xDC80 <= ord(character) <= 0xDCFF:  # surrogateescape: a raw byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
