"""The running stand-in: a webhook on pods, over HTTPS."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from bed.kserve_emulator.admission import DeniedError, Handler, Request, certificates, serve
from bed.kserve_emulator.api import Api
from bed.kserve_emulator.install import registration, webhook
from bed.kserve_emulator.names import Object

from .restricted import ConstraintError, constrained, range_of

WEBHOOK = "restricted-v2.security.openshift.io"
URL_PATH = "/constrain-pod"


async def install(api: Api, state: Path, host: str, port: int) -> None:
    """Registers the webhook; `host` is the address at which the API server reaches `run`."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    _, _, authority = certificates(state, host)
    entry = webhook(WEBHOOK, f"https://{host}:{port}{URL_PATH}", authority, rule)
    # Again after other webhooks: KServe's puts a container into the pod.
    await api.put(registration("MutatingWebhookConfiguration", WEBHOOK, [{**entry, "reinvocationPolicy": "IfNeeded"}]))


def handler(api: Api) -> Handler:
    """The webhook's handler."""

    async def handle(request: Request) -> Object | None:
        namespace = await api.get("Namespace", request["namespace"])
        try:
            ids = range_of(namespace or {"metadata": {}})
            return None if ids is None else constrained(request["object"], ids)
        except ConstraintError as error:
            raise DeniedError(str(error)) from error

    return handle


def run(kubeconfig: str, state: Path, host: str, port: int) -> None:
    """Runs until SIGINT or SIGTERM."""
    asyncio.run(_run(kubeconfig, state, host, port))


async def _run(kubeconfig: str, state: Path, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Api(kubeconfig) as api:
        runner = await serve({URL_PATH: handler(api)}, host, port, state)
        await ended.wait()
        await runner.cleanup()
