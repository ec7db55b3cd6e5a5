"""An admission webhook server: AdmissionReview in, verdict and patch out. Knows no rules of its own."""

from __future__ import annotations

import base64
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from bed import pki

from .names import Object

Request = dict[str, Any]
# Takes the request of an AdmissionReview; returns the object as it shall be, or None to leave it.
Handler = Callable[[Request], Awaitable[Object | None]]
log = logging.getLogger("admission")


class DeniedError(Exception):
    """The request is refused; the text reaches the user. `code` is the HTTP status of the API server's answer."""

    def __init__(self, message: str, code: int = 403) -> None:
        super().__init__(message)
        self.code = code


def certificates(state: Path, host: str) -> tuple[Path, Path, str]:
    """Certificate and key for this host, made once in `state`, and the authority as a webhook's `caBundle`."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate, key = pki.serving(state, "webhook", [host], [])
    return certificate, key, base64.b64encode((state / "ca.crt").read_bytes()).decode()


async def serve(handlers: Mapping[str, Handler], host: str, port: int, state: Path) -> web.AppRunner:
    """Serves one handler per path until the returned runner is cleaned up."""
    application = web.Application(client_max_size=16 * 2**20)
    for path, handler in handlers.items():
        application.router.add_post(path, _route(handler))
    certificate, key, _ = certificates(state, host)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=context).start()
    return runner


def _route(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(message: web.Request) -> web.Response:
        review = await message.json()
        request = review["request"]
        response: Object = {"uid": request["uid"], "allowed": True}
        try:
            wanted = await handler(request)
            if wanted is not None:
                operations = patch(request["object"], wanted)
                if operations:
                    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
                    response |= {"patchType": "JSONPatch", "patch": encoded}
        except DeniedError as denied:
            response |= {"allowed": False, "status": {"code": denied.code, "message": str(denied)}}
        except Exception as error:  # a webhook that ends without an answer would only show as a timeout
            log.exception("%s of %s %s", request["operation"], request["kind"]["kind"], request.get("name", ""))
            response |= {"allowed": False, "status": {"code": 500, "message": f"{type(error).__name__}: {error}"}}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})

    return answer


def patch(old: Object, new: Object) -> list[Object]:
    """JSON Patch operations from one object to another: labels, annotations and spec, each as a whole."""
    operations = []
    for path in (("metadata", "labels"), ("metadata", "annotations"), ("spec",)):
        before, after = _at(old, path), _at(new, path)
        if before != after:
            place = "/" + "/".join(path)
            operations.append(
                {"op": "remove", "path": place} if after is None else {"op": "add", "path": place, "value": after}
            )
    return operations


def _at(item: Object, path: tuple[str, ...]) -> Any:
    for key in path:
        item = item.get(key)  # type: ignore[assignment]
        if item is None:
            return None
    return item
