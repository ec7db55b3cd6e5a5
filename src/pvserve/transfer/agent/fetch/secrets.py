"""What a Secret that was mounted by reference says: files, read when needed, never copied.

Owns the names of the keys, documented in docs/sources. Must not print a value.
"""

from __future__ import annotations

import json
import os
from typing import Any

from pvserve.errors import UsageError
from pvserve.model.contain import shown

LIMIT = 1 << 20
KSERVE = "storage.json"  # one entry of KServe's storage-config, mounted under this name


class Mounted:
    """The Secret's files below `directory`, "" where none was named."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def value(self, *names: str) -> str:
        """The first of these keys that is there, "" where none is. Read anew: the kubelet follows the Secret."""
        for name in names if self._directory else ():
            try:
                with open(os.path.join(self._directory, name), encoding="utf-8") as file:
                    return file.read(LIMIT).strip()
            except FileNotFoundError:  # noqa: PERF203 - a handful of names
                continue
        return ""

    def kserve(self) -> dict[str, Any]:
        """The entry of a storage-config Secret, {} where none is mounted. Raises UsageError where it is no JSON."""
        text = self.value(KSERVE)
        if not text:
            return {}
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UsageError("ConnectionInvalid", "the entry of the storage-config Secret is no JSON object")
        return found

    def names(self) -> list[str]:
        """The names of the keys that are there."""
        try:
            return sorted(name for name in os.listdir(self._directory) if not name.startswith("."))
        except OSError:
            return []

    def path(self, name: str) -> str:
        """Where a key is mounted; of "" the directory."""
        return os.path.join(self._directory, name)

    def keys(self) -> str:
        """The names, for a message."""
        names = self.names()
        return ", ".join(shown(name) for name in names) or "no key"


def missing(mounted: Mounted, what: str, *names: str) -> UsageError:
    """The Secret lacks what the source needs."""
    return UsageError(
        "ConnectionInvalid",
        f"the connection's Secret has no {' or '.join(names)}, which {what} needs; it has {mounted.keys()}",
        remedy=(
            "kubectl get secret NAME -o jsonpath='{.data}' shows its keys",
            "the page of the source in docs/sources lists those that are read",
        ),
    )
