"""python -m bed.kserve_emulator install|run --kubeconfig FILE --state DIR --webhook-host HOST --webhook-port PORT"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from .api import Api, ApiError
from .install import install

DEFAULT_INITIALIZER = "bed.local/storage-initializer:1"


def main() -> int:
    """The command line; 1 with one sentence if the cluster refuses."""
    parser = argparse.ArgumentParser(prog="bed.kserve_emulator", description="The bed's KServe emulator.")
    parser.add_argument("action", choices=("install", "run"))
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--state", type=Path, required=True, help="directory for the webhooks' certificates")
    parser.add_argument("--webhook-host", required=True, help="address at which the API server reaches the webhooks")
    parser.add_argument("--webhook-port", type=int, required=True)
    parser.add_argument("--storage-initializer", default=DEFAULT_INITIALIZER, help="image that downloads models")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    where = options.state, options.webhook_host, options.webhook_port
    if options.action == "run":
        from .watching import run  # kopf takes half a second to load

        run(options.kubeconfig, *where)
        return 0

    async def put() -> None:
        async with Api(options.kubeconfig) as api:
            await install(api, *where, options.storage_initializer)

    try:
        asyncio.run(put())
    except (ApiError, TimeoutError, OSError) as error:
        print(f"the KServe emulator could not be installed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
