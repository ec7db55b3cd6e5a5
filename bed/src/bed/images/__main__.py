"""The images by hand: `python -m bed.images build CACHE [NAME ...]` and `python -m bed.images lock [NAME ...]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bed.images import DEFAULT, KNOWN, ImageError, ensure, reference, wheels

START = time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bed.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="make the image archives that are not in the cache yet")
    build.add_argument("cache", type=Path)
    build.add_argument("names", nargs="*", help=f"of: {', '.join(KNOWN)}; default: all but the optional ones")
    lock = commands.add_parser("lock", help="resolve the wheels again and renew their pins and hashes")
    pinned = sorted(path.stem for path in wheels.FOLDER.glob("*.in"))
    lock.add_argument("names", nargs="*", default=pinned, help=f"of: {', '.join(pinned)}")
    given = parser.parse_args()
    try:
        if given.command == "lock":
            for name in given.names:
                wheels.lock(name)
            return
        names = [name if "/" in name else reference(name) for name in given.names] or DEFAULT
        archives = ensure(given.cache, names, _print_with_time)
    except ImageError as error:
        sys.exit(f"bed.images: {error}")
    for name, path in archives.items():
        print(f"{name}\t{path}\t{path.stat().st_size / 1e6:.0f} MB")


def _print_with_time(line: str) -> None:
    print(f"{time.monotonic() - START:6.1f} s  {line}", flush=True)


if __name__ == "__main__":
    main()
