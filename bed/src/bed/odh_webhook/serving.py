"""The running stand-in: the webhook over HTTPS, and kopf's watch on connections for the storage-config secrets."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import kopf

from bed.kserve_emulator.admission import DeniedError, Handler, Request, certificates, serve
from bed.kserve_emulator.api import Api, ApiError
from bed.kserve_emulator.credentials import data_of
from bed.kserve_emulator.install import registration, webhook
from bed.kserve_emulator.names import GROUP, Object, annotations_of

from .connections import (
    CONNECTION,
    URI_KEYS,
    Connection,
    ConnectionDeniedError,
    account,
    changes,
    cleaned,
    injected,
    new_connection,
    old_connection,
)
from .storage_config import MANAGED, NAME, SELECTOR, storage_config

WEBHOOK = "connection-isvc.opendatahub.io"
URL_PATH = "/platform-connection-isvc"


async def install(api: Api, state: Path, host: str, port: int) -> None:
    """Registers the webhook; `host` is the address at which the API server reaches `run`."""
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": ["v1beta1"],
        "resources": ["inferenceservices"],
        "operations": ["CREATE", "UPDATE"],
    }
    _, _, authority = certificates(state, host)
    entry = {**webhook(WEBHOOK, f"https://{host}:{port}{URL_PATH}", authority, rule), "sideEffects": "NoneOnDryRun"}
    await api.put(registration("MutatingWebhookConfiguration", WEBHOOK, [entry]))


def connection_handler(api: Api) -> Handler:
    """The webhook's handler."""

    async def handle(request: Request) -> Object | None:
        service, before, namespace = request["object"], request.get("oldObject"), request["namespace"]
        if service["metadata"].get("deletionTimestamp"):
            return None
        service["metadata"].setdefault("namespace", namespace)
        try:
            secret = await _secret(api, service, namespace)
            new = new_connection(service, secret)
            old = old_connection(before, await _secret(api, before, namespace)) if before else None
            clean, inject = changes(old, new)
            if clean and old is not None:
                service = cleaned(service, old)
            if inject and new.secret:
                service = await _inject(api, request, service, new, secret)
        except ConnectionDeniedError as error:
            raise DeniedError(str(error), error.code) from error
        return service

    return handle


async def _secret(api: Api, service: Object, namespace: str) -> Object | None:
    name = annotations_of(service).get(CONNECTION, "")
    return await api.get("Secret", name, namespace) if name else None


async def _inject(api: Api, request: Request, service: Object, new: Connection, secret: Object | None) -> Object:
    if new.kind == "s3" and not request.get("dryRun"):
        try:
            await api.create(account(new.secret, request["namespace"]))
        except ApiError as error:
            if error.code != 409:  # there is one already, maybe the user's
                raise
    data = data_of(secret or {})
    uri = next((data[key] for key in URI_KEYS if key in data), "")
    if new.kind == "uri" and not uri:
        raise ConnectionDeniedError("secret does not contain either 'https-host' or 'URI' data key", 500)
    stored = ((request.get("oldObject") or {}).get("spec") or {}).get("predictor", {}).get("model") or {}
    return injected(service, new, uri, (stored.get("storage") or {}).get("path", ""))


async def keep_storage_config(api: Api, namespace: str) -> None:
    """Makes, updates or deletes a namespace's storage-config; deletes only one that Open Data Hub made."""
    connections = await api.list("Secret", namespace, SELECTOR)
    existing = await api.get("Secret", NAME, namespace)
    if connections:
        wanted = storage_config(namespace, connections)
        if existing is None or existing.get("data") != wanted["data"]:
            await api.put(wanted)
    elif existing is not None and (existing["metadata"].get("labels") or {}).get(MANAGED) == "true":
        await api.delete(existing)


def run(kubeconfig: str, state: Path, host: str, port: int) -> None:
    """Runs until SIGINT or SIGTERM."""
    os.environ["KUBECONFIG"] = kubeconfig
    registry = kopf.OperatorRegistry()
    running: list[Any] = []
    one_at_a_time = asyncio.Lock()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        api = await Api(kubeconfig).__aenter__()
        running.extend([api, await serve({URL_PATH: connection_handler(api)}, host, port, state)])

    @kopf.on.cleanup(registry=registry)
    async def end(**_: Any) -> None:
        api, runner = running
        await runner.cleanup()
        await api.__aexit__(None, None, None)

    @kopf.on.event("v1", "secrets", labels={MANAGED: "true"}, registry=registry)
    async def connection_changed(name: str, namespace: str, **_: Any) -> None:
        if name != NAME:
            async with one_at_a_time:
                await keep_storage_config(running[0], namespace)

    kopf.run(registry=registry, clusterwide=True, standalone=True)
