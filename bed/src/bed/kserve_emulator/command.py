"""The command line that the emulator and the Open Data Hub stand-in share: `install` once, then `run`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from .api import Api, ApiError


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Options that both have."""
    result = argparse.ArgumentParser(prog=program, description=description)
    result.add_argument("action", choices=("install", "run"))
    result.add_argument("--kubeconfig", required=True)
    result.add_argument("--state", type=Path, required=True, help="directory for the webhooks' certificates")
    result.add_argument("--webhook-host", required=True, help="address at which the API server reaches the webhooks")
    result.add_argument("--webhook-port", type=int, required=True)
    return result


def carry_out(
    options: argparse.Namespace,
    install: Callable[[Api, Path, str, int], Awaitable[None]],
    run: Callable[[str, Path, str, int], None],
) -> int:
    """Does what was asked; 1, with one sentence, if the cluster cannot be reached or refuses."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    where = options.state, options.webhook_host, options.webhook_port
    if options.action == "run":
        run(options.kubeconfig, *where)
        return 0

    async def put() -> None:
        async with Api(options.kubeconfig) as api:
            await install(api, *where)

    try:
        asyncio.run(put())
    except (ApiError, TimeoutError, OSError) as error:
        print(f"{Path(sys.argv[0]).parent.name} could not be installed: {error}", file=sys.stderr)
        return 1
    return 0
