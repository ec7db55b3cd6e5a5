"""Owns where image archives are kept and when one must be made again.

Each archive lies under a key of everything that decides its content: the recipe, its files and pins, and this
package's own code. Debian packages are the newest of the suite at the time of building and are not part of the key.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TextIO

from bed.images import archive, build, debian, torch_cpu, wheels
from bed.images.errors import ImageError
from bed.images.recipes import INSIDE, OPTIONAL, RECIPES, BusyboxImage, PythonImage, Recipe

Report = Callable[[str], None]


def _say_nothing(_line: str) -> None:
    """Report to nobody."""


def reference(name: str) -> str:
    """Return the reference of the image `name`, as pods write it."""
    return f"bed.local/{name}:1"


_RECIPES = {reference(recipe.name): recipe for recipe in RECIPES}
KNOWN = tuple(_RECIPES)
DEFAULT = tuple(image for image in KNOWN if _RECIPES[image].name not in OPTIONAL)


def ensure(cache: Path, names: Sequence[str], report: Report = _say_nothing) -> dict[str, Path]:
    """Return the docker-archive of each image in `names`, making those that are not below `cache` yet.

    `names` are references such as bed.local/busybox:1 (DEFAULT, KNOWN); `report` gets a line per image made.
    Making one needs root (the base is unpacked with its owners and entered with chroot). One process at a time builds;
    a build that is interrupted leaves nothing that counts. Raises ImageError.
    """
    if unknown := sorted(set(names) - _RECIPES.keys()):
        raise ImageError(f"no recipe for the image {', '.join(unknown)}; there are: {', '.join(KNOWN)}")
    store = cache / "images"
    archives = {name: store / f"{_RECIPES[name].name}-{_key(_RECIPES[name])}.tar" for name in names}
    if missing := [name for name, path in archives.items() if not path.exists()]:
        if os.geteuid() != 0:
            raise ImageError(f"making {', '.join(missing)} needs root: run this as root once")
        try:
            with _alone(store, report) as scratch:
                for name in missing:
                    if not archives[name].exists():  # another process may have made it while this one waited
                        report(f"making image {name}")
                        _make(name, archives[name], store, scratch, report)
        except OSError as error:
            raise ImageError(f"making images in {store}: {error}") from error
    return archives


def wheels_for_this_python(name: str, cache: Path) -> Path:
    """Return a directory below `cache` with the pinned wheels of `name`, installed for the python that runs this."""
    python = f"{sys.implementation.cache_tag}-{platform.machine()}"
    site = cache / "images" / f"{name}-{python}-{_digest(wheels.requirements(name).read_bytes())}"
    if not site.exists():
        with _alone(site.parent, _say_nothing) as scratch:
            if not site.exists():
                wheels.install_for_this_python(name, scratch / "site")
                (scratch / "site").rename(site)
    return site


def _make(name: str, target: Path, store: Path, scratch: Path, report: Report) -> None:
    recipe = _RECIPES[name]
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        if isinstance(recipe, BusyboxImage):
            made = build.build_busybox(recipe, name, Path(directory))
        else:
            made = build.build_python(recipe, name, _base(store, scratch, report), Path(directory))
        made.rename(target)


def _base(store: Path, scratch: Path, report: Report) -> Path:
    """Return the directory of the shared Debian base, made when it is missing."""
    base = store / f"base-{_digest(_code(archive, build, debian))}"
    if not base.exists():
        report(f"making the Debian {debian.SUITE} base")
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            build.build_base(Path(directory))
            Path(directory).rename(base)
            Path(directory).mkdir()  # for TemporaryDirectory to remove
    return base


def _key(recipe: Recipe) -> str:
    parts = [repr(recipe).encode(), _code(archive, build, debian, wheels)]
    if isinstance(recipe, PythonImage):
        parts += [wheels.requirements(recipe.name).read_bytes()]
        parts += [(INSIDE / name).read_bytes() for _, name in sorted(recipe.files.items())]
        parts += [_code(torch_cpu)] if recipe.cpu_torch else []
    return _digest(*parts)


def _code(*modules: ModuleType) -> bytes:
    return "".join([wheels.architecture(), *map(inspect.getsource, modules)]).encode()


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


@contextmanager
def _alone(store: Path, report: Report) -> Iterator[Path]:
    """Hold the cache's lock and yield an empty scratch directory on the cache's own file system."""
    store.mkdir(parents=True, exist_ok=True)
    scratch = store / "building"
    with (store / "lock").open("w") as lock:
        _wait_for(lock, report)
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed build left: its lock is gone, so is it
        scratch.mkdir()
        yield scratch
        shutil.rmtree(scratch)


def _wait_for(lock: TextIO, report: Report) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        report("waiting for another process that makes images")
        fcntl.flock(lock, fcntl.LOCK_EX)
