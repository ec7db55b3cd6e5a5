"""The bed, its kubectl, and a namespace per test, for the tests that need the running emulator."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from bed import readiness
from bed.settings import settings
from tests.bed.kubectl import Kubectl

WEBHOOKS = ("inferenceservice.serving.kserve.io", "connection-isvc.opendatahub.io")


@pytest.fixture(scope="session")
def emulator_runs() -> None:
    """Skips without the bed, or fails where PVSERVE_REQUIRE=bed says that it must be there."""
    if readiness.status(settings())["ready"]:
        found = Kubectl("default")("get", "mutatingwebhookconfigurations", "-o", "name")
        if all(name in found for name in WEBHOOKS):
            return
    assert os.environ.get("PVSERVE_REQUIRE") != "bed", "the bed with the KServe emulator is not up: make bed"
    pytest.skip("the bed with the KServe emulator is not up: make bed")


@pytest.fixture
def kubectl(emulator_runs: None) -> Iterator[Kubectl]:
    space = Kubectl(f"emulator-{uuid.uuid4().hex[:8]}")
    space("create", "namespace", space.namespace)
    yield space
    space("delete", "namespace", space.namespace, "--wait=false")
