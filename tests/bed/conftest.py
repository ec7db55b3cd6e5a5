"""A namespace of its own for each test on the bed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from bed import readiness
from bed.settings import settings

from .kubectl import Kubectl, until


@pytest.fixture(scope="session")
def bed_is_up() -> None:
    if readiness.status(settings())["ready"]:
        return
    assert os.environ.get("PVSERVE_REQUIRE") != "bed", "the bed is not up: make bed"
    pytest.skip("the bed is not up: make bed")


@pytest.fixture
def kubectl(bed_is_up: None) -> Iterator[Kubectl]:
    space = Kubectl(f"bed-test-{uuid.uuid4().hex[:8]}")
    space("create", "namespace", space.namespace)
    space("label", "namespace", space.namespace, "pod-security.kubernetes.io/enforce=restricted")
    until("its account exists", lambda: "NotFound" not in space("get", "serviceaccount", "default", check=False))
    yield space
    space("delete", "namespace", space.namespace, "--wait=false", "--ignore-not-found")
