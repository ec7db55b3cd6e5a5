"""What lies below `.pvserve/` that no model needs: partial transfers, and what was replaced.

Owns finding and removing it. Must not know frames, nor decide what is old enough or whose writer is gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from typing import Any

from .journal import JOURNAL
from .neighbours import path_of
from .place import CURRENT, META, Place
from .remove import count
from .volume import look, open_directory, remove_tree

NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")  # of a partial transfer


def contents(mount: str) -> dict[str, list[Any]]:
    """Rows: partial transfers (name, bytes, files, seconds since they were last written to), what was replaced (key,
    path, name, bytes, files), and models (path, digest)."""
    root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return {"partial": _partials(root), "replaced": _replaced(mount, root), "models": _models(root)}
    finally:
        os.close(root)


def _shelf(root: int, name: str) -> int | None:
    try:
        return open_directory(root, f"{META}/{name}")
    except FileNotFoundError:
        return None


def _partials(root: int) -> list[Any]:
    shelf = _shelf(root, "partial")
    if shelf is None:
        return []
    try:
        return [
            [name, *_weight(shelf, name), max(0, int(time.time() - _touched(shelf, name)))]
            for name in sorted(os.listdir(shelf))
            if NAME.fullmatch(name)
        ]
    finally:
        os.close(shelf)


def _touched(shelf: int, name: str) -> float:
    """When anything was last written: the journal of each epoch, and the directories down to the files."""
    found = [0.0]
    home = open_directory(shelf, name)
    try:
        found.append(os.fstat(home).st_mtime)
        for epoch in os.listdir(home):
            for inner in ("", "/files", f"/{JOURNAL}"):
                with contextlib.suppress(OSError):
                    found.append(os.stat(epoch + inner, dir_fd=home, follow_symlinks=False).st_mtime)
    finally:
        os.close(home)
    return max(found)


def _weight(base: int, name: str) -> tuple[int, int]:
    found = {"bytes": 0, "files": 0}
    count(base, name, found)
    return found["bytes"], found["files"]


def _replaced(mount: str, root: int) -> list[Any]:
    shelf = _shelf(root, "replaced")
    if shelf is None:
        return []
    found: list[Any] = []
    try:
        for key in sorted(os.listdir(shelf)):
            path, needed = _known_path(root, key), _needed(mount, key)
            here = open_directory(shelf, key)
            try:
                found += [
                    [key, path, name, *_weight(here, name)] for name in sorted(os.listdir(here)) if name != needed
                ]
            finally:
                os.close(here)
    finally:
        os.close(shelf)
    return found


def _known_path(root: int, key: str) -> str:
    models = _shelf(root, "models")
    if models is None:
        return ""
    try:
        return path_of(models, key)
    finally:
        os.close(models)


def _needed(mount: str, key: str) -> str:
    """What a publisher that was stopped may have to put back at its path."""
    place = Place(mount, "of a key", key)
    try:
        intent = place.intent()
    finally:
        os.close(place.root)
    return str(intent["kept"]) if intent else ""


def _models(root: int) -> list[Any]:
    shelf = _shelf(root, "models")
    if shelf is None:
        return []
    found = []
    try:
        for key in sorted(os.listdir(shelf)):
            path = path_of(shelf, key)
            here = open_directory(shelf, key)
            try:
                if path and look(here, CURRENT) and _directory(root, path):
                    found.append(path)
            finally:
                os.close(here)
    finally:
        os.close(shelf)
    return found


def _directory(root: int, path: str) -> bool:
    try:
        os.close(open_directory(root, path))
    except OSError:
        return False
    return True


def sweep(mount: str, partials: list[str], replaced: list[list[str]]) -> dict[str, int]:
    """Remove these. Of a partial transfer the journal goes first: without it nothing of the rest is believed."""
    root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    freed = {"bytes": 0, "files": 0}
    try:
        shelf = _shelf(root, "partial")
        if shelf is not None:
            try:
                for name in partials:
                    if NAME.fullmatch(name):
                        count(shelf, name, freed)
                        _forget_journals(shelf, name)
                        remove_tree(shelf, name)
            finally:
                os.close(shelf)
        for key, name in replaced:
            _sweep_replaced(mount, root, key, name, freed)
    finally:
        os.close(root)
    return freed


def _forget_journals(shelf: int, name: str) -> None:
    try:
        home = open_directory(shelf, name)
    except FileNotFoundError:
        return
    try:
        for epoch in os.listdir(home):
            here = open_directory(home, epoch)
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(JOURNAL, dir_fd=here)
                    os.fsync(here)
            finally:
                os.close(here)
    finally:
        os.close(home)


def _sweep_replaced(mount: str, root: int, key: str, name: str, freed: dict[str, int]) -> None:
    try:
        here = open_directory(root, f"{META}/replaced/{key}")
    except FileNotFoundError:
        return
    try:
        info = look(here, name)
        if info is None or name in ("", ".", "..") or "/" in name or name == _needed(mount, key):
            return
        if stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode):
            count(here, name, freed)
        remove_tree(here, name)
        empty = not os.listdir(here)
    finally:
        os.close(here)
    if empty:
        with contextlib.suppress(OSError):
            shelf = open_directory(root, f"{META}/replaced")
            try:
                os.rmdir(key, dir_fd=shelf)
            finally:
                os.close(shelf)
