"""What makes the emulator look at an InferenceService, and how it tries again. No cluster."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from bed.kserve_emulator import watching
from bed.kserve_emulator.controller import RetryError
from bed.kserve_emulator.watching import Queue, Triggers

KEY = ("ns", "tiny")


def taken(queue: Queue) -> list[tuple[str, str]]:
    found = []
    while queue._waiting:
        found.append(asyncio.run(queue.get()))
    return found


@pytest.fixture
def queue() -> Queue:
    return Queue()


def body(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "tiny", "namespace": "ns", "uid": "u", **metadata}}


def test_a_key_waits_once(queue: Queue) -> None:
    for key in (KEY, ("ns", "other"), KEY):
        queue.put(key)
    assert taken(queue) == [KEY, ("ns", "other")]


def test_workload_concerns_its_owner(queue: Queue) -> None:
    owners = [{"kind": "InferenceService", "name": "tiny", "controller": True}]
    Triggers(queue).workload(body(name="tiny-predictor", ownerReferences=owners))
    Triggers(queue).workload(
        body(name="other", ownerReferences=[{"kind": "ReplicaSet", "name": "x", "controller": True}])
    )
    assert taken(queue) == [KEY]


def test_pod_counts_only_when_its_init_containers_change(queue: Queue) -> None:
    triggers = Triggers(queue)
    pod = body(labels={"serving.kserve.io/inferenceservice": "tiny"})
    for state, kind, expected in (([], None, []), ([], "MODIFIED", []), ([{"name": "a"}], "MODIFIED", [KEY])):
        triggers.pod({**pod, "status": {"initContainerStatuses": state}}, kind)
        assert taken(queue) == expected


def test_runtime_counts_when_its_spec_changes_and_somebody_uses_it(queue: Queue) -> None:
    triggers = Triggers(queue)
    triggers.service({**body(), "status": {"servingRuntimeName": "server"}})
    triggers.service({**body(name="other"), "status": {"servingRuntimeName": "another"}})
    taken(queue)
    for generation, expected in ((1, []), (1, []), (2, [KEY])):
        triggers.runtime(body(name="server", generation=generation), "MODIFIED")
        assert taken(queue) == expected


def test_failure_comes_again_after_growing_pauses(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    async def fail(_api: Any, *_key: str) -> None:
        looks.append(asyncio.get_running_loop().time())
        raise RetryError("refused")

    async def scenario() -> None:
        queue.put(KEY)
        worker = asyncio.create_task(watching.work(None, queue))  # type: ignore[arg-type]
        async with asyncio.timeout(30):
            while len(looks) < 4:
                await asyncio.sleep(0.01)
        worker.cancel()

    monkeypatch.setattr(watching, "reconcile", fail)
    monkeypatch.setattr(watching, "FIRST_PAUSE", 0.01)
    asyncio.run(scenario())
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert all(pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08), strict=True))
