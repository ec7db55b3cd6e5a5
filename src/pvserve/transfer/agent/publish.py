"""Makes a complete partial transfer the version at its path, so that a crash at any point leaves the old or the new.

Owns the order of writes from the last verified file to the marker (docs/on-volume-format.md). Must not know frames.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import time

from .expected import Expected
from .neighbours import check_alone
from .place import CURRENT, FILES, MANIFEST, PATH, PUBLISHING, SUMS, Overtaken, Partial, Place
from .stamps import STAMPS, Known, identity_of, stamped, tick_ns
from .syncing import FileSystem
from .volume import Told, Unsafe, look, open_directory, remove_tree, walk, write_durably

EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)


class Occupied(Told):
    """The path holds what this load may not replace."""


def publish(
    place: Place, partial: Partial, expected: dict[int, Expected], texts: dict[str, bytes], digest: str, replace: bool
) -> str:
    """Put the files in place; the name under which the old ones are kept, or ""."""
    check_alone(place)  # once more: two loads that begin side by side do not see each other
    try:
        verified = _check_complete(partial, expected)
    except (Unsafe, FileNotFoundError):
        partial.check_ours()  # a later writer, which took the files over, is no stranger
        raise
    _write_version(place, texts, digest, verified)
    partial.check_ours()
    there = place.find()
    if there is not None and not _may_replace(place, there, digest, replace):
        raise Occupied(f"{place.path} holds something else")
    kept = _move(place, partial, digest, there)
    _mark(place, partial, digest)
    try:
        if kept:
            _put_away(place, partial.shelf, f"{partial.path}/{FILES}", kept)
        partial.check_ours()
        _forget_intent(place)
    except FileNotFoundError:
        raise Overtaken(f"{place.path} was taken over by a later writer") from None
    partial.drop()
    return kept


def adopt(place: Place, partial: Partial, texts: dict[str, bytes], digest: str) -> None:
    """Say of the files that lie at the path already, digested just now, that they are this version."""
    check_alone(place)
    top = open_directory(place.root, place.path)
    try:
        directories = []
        for path, here, entry in walk(top):
            if entry.is_dir(follow_symlinks=False):
                directories.append(path)
            elif entry.is_file(follow_symlinks=False):
                handle = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)
        _sync_directories(top, directories)
    finally:
        os.close(top)
    _write_version(place, texts, digest, {})
    _mark(place, partial, digest)
    _forget_intent(place)
    partial.drop()


def settle(place: Place, partial: Partial) -> None:
    """The path holds what was asked for: finish what its publisher was stopped in, and leave no partial transfer."""
    recover(place, partial)
    partial.drop()


def recover(place: Place, partial: Partial) -> None:
    """Finish, or take back, what a publisher was stopped in. `partial` took all others to this path over before."""
    intent = place.intent()
    if intent is None:
        return
    there = place.find()
    if there is not None and there.st_ino == intent["inode"]:
        _mark(place, partial, str(intent["to"]))
        if intent["kept"]:
            transfer = str(intent["partial"]).partition("/")[0]
            _find_and_put_away(place, f"{transfer}/{partial.epoch}", int(intent["old"]), str(intent["kept"]))
        _forget_intent(place)
        return
    if there is None and intent["kept"]:  # stopped between the two renames of a kernel without exchange
        shelf = open_directory(place.root, place.below("replaced", place.key))
        parent = open_directory(place.root, place.parent, make=True)
        try:
            os.rename(str(intent["kept"]), place.name, src_dir_fd=shelf, dst_dir_fd=parent)
            os.fsync(parent)
        finally:
            os.close(shelf)
            os.close(parent)
    _forget_intent(place)


def _check_complete(partial: Partial, expected: dict[int, Expected]) -> Known:
    """Exactly the files that were verified lie there: none exchanged since, none besides. Then fsync directories."""
    wanted = {file.path: file for file in expected.values()}
    verified: Known = {}
    directories: list[str] = []
    for path, here, entry in walk(partial.files):
        if entry.is_dir(follow_symlinks=False):
            directories.append(path)
            continue
        file = wanted.pop(path, None)
        if file is None:
            os.unlink(entry.name, dir_fd=here)  # of an earlier run with other files, or planted
            continue
        info = os.stat(entry.name, dir_fd=here, follow_symlinks=False)
        same = stat.S_ISREG(info.st_mode) and (info.st_ino, info.st_size) == (file.inode, file.size)
        if not file.verified or not same:
            raise Unsafe(path, "was exchanged after it was verified")
        verified[identity_of(info)] = file.verified
    if wanted:
        raise Unsafe(next(iter(wanted)), "is gone after it was verified")
    _sync_directories(partial.files, directories)
    return verified


def _sync_directories(top: int, paths: list[str]) -> None:
    for path in paths:
        inner = open_directory(top, path)
        os.fsync(inner)
        os.close(inner)
    os.fsync(top)


def _write_version(place: Place, texts: dict[str, bytes], digest: str, verified: Known) -> None:
    """What is said of a version; `verified` are its files as they are, where nobody but us can have written them."""
    here = open_directory(place.root, place.below("models", place.key, digest), make=True)
    try:
        for name in (MANIFEST, SUMS):
            write_durably(here, name, texts[name])
        if verified:
            now = os.stat(SUMS, dir_fd=here).st_ctime_ns
            write_durably(here, STAMPS, stamped(verified, now, tick_ns(FileSystem(here).believed)))
    finally:
        os.close(here)


def _may_replace(place: Place, there: os.stat_result, digest: str, replace: bool) -> bool:
    if stat.S_ISDIR(there.st_mode):
        here = open_directory(place.root, place.path)
        try:
            if not os.listdir(here):
                return True
        finally:
            os.close(here)
    return replace or place.current() == digest


def _move(place: Place, partial: Partial, digest: str, there: os.stat_result | None) -> str:
    """Rename into place; what was there ends up in the partial directory (or in `replaced` without exchange).

    By our epoch's path, not by its descriptor: a later writer has renamed that directory, and then this must fail.
    """
    new = os.fstat(partial.files)
    kept = "" if there is None else f"{int(time.time())}-{(place.current() or 'foreign')[:12]}"
    parent = open_directory(place.root, place.parent, make=True)
    try:
        intent = {
            "to": digest,
            "inode": new.st_ino,
            "old": there.st_ino if there else 0,
            "kept": kept,
            "partial": partial.path,
        }
        _note_intent(place, partial, intent)
        files = f"{partial.path}/{FILES}"
        try:
            if there is None:
                os.rename(files, place.name, src_dir_fd=partial.shelf, dst_dir_fd=parent)
            elif not _exchange(partial.shelf, files, parent, place.name):
                _put_away(place, parent, place.name, kept)
                os.rename(files, place.name, src_dir_fd=partial.shelf, dst_dir_fd=parent)
        except FileNotFoundError:
            raise Overtaken(f"{place.path} was taken over by a later writer") from None
        os.fsync(parent)
        os.fsync(partial.directory)
    finally:
        os.close(parent)
    return kept


def _exchange(left: int, left_name: str, right: int, right_name: str) -> bool:
    """Swap two names at once; False where the kernel, the C library or the file system cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if call(left, os.fsencode(left_name), right, os.fsencode(right_name), EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code))  # FileNotFoundError where a later writer renamed our directory


def _mark(place: Place, partial: Partial, digest: str) -> None:
    here = open_directory(place.root, place.below("models", place.key), make=True)
    try:
        partial.give(here, PATH, place.path.encode("utf-8"))
        partial.give(here, CURRENT, digest.encode("ascii") + b"\n")
    finally:
        os.close(here)


def _note_intent(place: Place, partial: Partial, intent: dict[str, object]) -> None:
    here = open_directory(place.root, place.below("models", place.key), make=True)
    try:
        partial.give(here, PUBLISHING, json.dumps(intent).encode("ascii"))
    finally:
        os.close(here)


def _forget_intent(place: Place) -> None:
    here = open_directory(place.root, place.below("models", place.key), make=True)
    try:
        if look(here, PUBLISHING):
            os.unlink(PUBLISHING, dir_fd=here)
            os.fsync(here)
    finally:
        os.close(here)


def _find_and_put_away(place: Place, partial: str, inode: int, kept: str) -> None:
    try:
        here = open_directory(place.root, place.below("partial", partial))
    except FileNotFoundError:
        return
    try:
        old = look(here, FILES)
        if old is not None and old.st_ino == inode:
            _put_away(place, here, FILES, kept)
    finally:
        os.close(here)


def _put_away(place: Place, base: int, name: str, kept: str) -> None:
    """Keep what was replaced; an empty directory is not worth it."""
    info = look(base, name)
    if info is None:
        return
    if stat.S_ISDIR(info.st_mode):
        here = open_directory(base, name)
        empty = not os.listdir(here)
        os.close(here)
        if empty:
            remove_tree(base, name)
            return
    shelf = open_directory(place.root, place.below("replaced", place.key), make=True)
    try:
        os.rename(name, kept, src_dir_fd=base, dst_dir_fd=shelf)
        os.fsync(shelf)
        os.fsync(base)
    finally:
        os.close(shelf)
