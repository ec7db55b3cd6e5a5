"""python -m bed.kserve_emulator install|run --kubeconfig FILE --state DIR --webhook-host HOST --webhook-port PORT"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from .command import carry_out, parser
from .install import install

DEFAULT_INITIALIZER = "bed.local/storage-initializer:1"


def main() -> int:
    """The command line."""
    options_of = parser("bed.kserve_emulator", "The bed's KServe emulator.")
    options_of.add_argument("--storage-initializer", default=DEFAULT_INITIALIZER, help="image that downloads models")
    options = options_of.parse_args()
    return carry_out(options, partial(install, storage_initializer=options.storage_initializer), _run)


def _run(kubeconfig: str, state: Path, host: str, port: int) -> None:
    from .watching import run  # kopf takes half a second to load

    run(kubeconfig, state, host, port)


if __name__ == "__main__":
    sys.exit(main())
