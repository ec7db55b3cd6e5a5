#!/usr/bin/python3
"""KServe's storage initializer: downloads each SRC to the DEST after it, with KServe's own code (kserve_storage)."""

import sys

from kserve_storage import Storage, configure_logging

if __name__ == "__main__":
    pairs = sys.argv[1:]
    if not pairs or len(pairs) % 2:
        sys.exit("usage: initializer-entrypoint SRC DEST [SRC DEST ...]")
    configure_logging()
    Storage.download_files(pairs[::2], pairs[1::2])
