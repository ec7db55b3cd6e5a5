"""The running emulator: kopf's watches fill a queue, one worker reconciles, the webhooks are served beside it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import kopf

from .admission import serve
from .api import Api, ApiError
from .controller import RetryError, reconcile
from .llm import KIND as LLM_KIND
from .llm_controller import reconcile_llm
from .names import GROUP, SERVICE_LABEL, Object
from .webhooks import handlers

Key = tuple[str, str]  # namespace, name
Reconcile = Callable[[Api, str, str], Awaitable[None]]
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 300.0
log = logging.getLogger("watching")


class Queue:
    """Keys to be looked at; one that waits already is not put twice."""

    def __init__(self) -> None:
        self._waiting: dict[Key, None] = {}
        self._some = asyncio.Event()

    def put(self, key: Key) -> None:
        """Asks for a look."""
        self._waiting[key] = None
        self._some.set()

    async def get(self) -> Key:
        """The key that waits longest."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        return key


async def work(api: Api, queue: Queue, bring: Reconcile | None = None) -> None:
    """Reconciles for ever; what fails comes again after a pause that doubles, up to five minutes."""
    failures: dict[Key, int] = {}
    loop = asyncio.get_running_loop()
    while True:
        key = await queue.get()
        try:
            await (bring or reconcile)(api, *key)
            failures.pop(key, None)
        except Exception as error:  # one broken service must not stop the others
            pause = error.seconds if isinstance(error, RetryError) else None
            if pause is None:
                count = failures[key] = failures.get(key, 0) + 1
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**count)
            known = isinstance(error, (RetryError, ApiError, aiohttp.ClientError, TimeoutError))
            log.log(logging.INFO if known else logging.ERROR, "%s/%s: %s", *key, error, exc_info=not known)
            loop.call_later(pause, queue.put, key)


class Triggers:
    """Decides which InferenceServices an event concerns; remembers only what tells a change from a repetition."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._initializers: dict[str, Any] = {}
        self._generations: dict[str, int] = {}
        self._runtime_of: dict[Key, tuple[str, str]] = {}

    def service(self, body: Object, **_: Any) -> None:
        """An InferenceService: any change."""
        key = _key(body)
        status = body.get("status") or {}
        runtime = status.get("servingRuntimeName", ""), status.get("clusterServingRuntimeName", "")
        self._runtime_of[key] = runtime
        self._queue.put(key)

    def workload(self, body: Object, **_: Any) -> None:
        """A Deployment or Service that an InferenceService owns: any change."""
        for owner in body["metadata"].get("ownerReferences") or ():
            if owner["kind"] == "InferenceService" and owner.get("controller"):
                self._queue.put((body["metadata"]["namespace"], owner["name"]))

    def pod(self, body: Object, type: str | None, **_: Any) -> None:
        """A pod: only changes of its init containers, since KServe watches for failing downloads."""
        uid, name = body["metadata"]["uid"], (body["metadata"].get("labels") or {}).get(SERVICE_LABEL, "")
        state = (body.get("status") or {}).get("initContainerStatuses")
        if type == "DELETED":
            self._initializers.pop(uid, None)
            return
        known = uid in self._initializers
        changed = self._initializers.get(uid) != state
        self._initializers[uid] = state
        if known and changed:
            self._queue.put((body["metadata"]["namespace"], name))

    def runtime(self, body: Object, type: str | None, **_: Any) -> None:
        """A runtime: a change of its spec concerns the services that use it."""
        metadata = body["metadata"]
        before = self._generations.get(metadata["uid"])
        self._generations[metadata["uid"]] = metadata["generation"]
        if type != "MODIFIED" or before in (None, metadata["generation"]):
            return
        namespace = metadata.get("namespace")
        for key, names in self._runtime_of.items():
            if names[0 if namespace else 1] == metadata["name"] and namespace in (None, key[0]):
                self._queue.put(key)


class LlmTriggers:
    """Decides which LLMInferenceServices an event concerns."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def service(self, body: Object, **_: Any) -> None:
        """An LLMInferenceService: any change."""
        self._queue.put(_key(body))

    def workload(self, body: Object, **_: Any) -> None:
        """A Deployment that one owns: any change."""
        for owner in body["metadata"].get("ownerReferences") or ():
            if owner["kind"] == LLM_KIND and owner.get("controller"):
                self._queue.put((body["metadata"]["namespace"], owner["name"]))


def _key(body: Object) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def run(kubeconfig: str, state: Path, host: str, port: int) -> None:
    """Runs controller and webhooks until SIGINT or SIGTERM."""
    os.environ["KUBECONFIG"] = kubeconfig  # kopf's own login looks there
    registry = kopf.OperatorRegistry()
    _register(registry, kubeconfig, lambda api: serve(handlers(api), host, port, state))
    kopf.run(registry=registry, clusterwide=True, standalone=True, memo=kopf.Memo())


def _register(registry: kopf.OperatorRegistry, kubeconfig: str, listen: Callable[[Api], Any]) -> None:
    queue = Queue()
    triggers = Triggers(queue)
    llm_queue = Queue()
    llm_triggers = LlmTriggers(llm_queue)
    running: list[Any] = []

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False  # the emulator's events are KServe's and nothing else
        settings.scanning.disabled = True
        api = await Api(kubeconfig).__aenter__()
        workers = [work(api, queue), work(api, llm_queue, reconcile_llm)]
        running.extend([api, await listen(api), *map(asyncio.create_task, workers)])
        log.info("ready")

    @kopf.on.cleanup(registry=registry)
    async def end(**_: Any) -> None:
        api, runner, *workers = running
        for worker in workers:
            worker.cancel()
        await runner.cleanup()
        await api.__aexit__(None, None, None)

    kopf.on.event(f"{GROUP}/v1beta1", "inferenceservices", registry=registry)(triggers.service)
    for resource in ("servingruntimes", "clusterservingruntimes"):
        kopf.on.event(f"{GROUP}/v1alpha1", resource, registry=registry)(triggers.runtime)
    kopf.on.event(f"{GROUP}/v1alpha1", "llminferenceservices", registry=registry)(llm_triggers.service)
    llms = {"app.kubernetes.io/part-of": "llminferenceservice"}
    kopf.on.event("apps/v1", "deployments", labels=llms, registry=registry)(llm_triggers.workload)
    ours = {SERVICE_LABEL: kopf.PRESENT}
    kopf.on.event("apps/v1", "deployments", labels=ours, registry=registry)(triggers.workload)
    kopf.on.event("v1", "services", labels=ours, registry=registry)(triggers.workload)
    kopf.on.event("v1", "pods", labels=ours, registry=registry)(triggers.pod)
