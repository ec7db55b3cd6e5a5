"""What the cluster under test offers: namespaces, images, storage classes, nodes.

Learns all of it through the API and PVSERVE_TEST_IMAGE_*.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, TypeVar

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import Object, annotations_of, name

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
T = TypeVar("T")


@contextlib.contextmanager
def make_namespace(cluster: Cluster, labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """A fresh namespace with its default ServiceAccount; its deletion is not waited for."""
    wanted = f"pvst-{uuid.uuid4().hex[:8]}"
    metadata = {"name": wanted, "labels": {"opendatahub.io/dashboard": "true", **(labels or {})}}
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        until(
            "the namespace's account", lambda: isinstance(cluster.find("v1", "ServiceAccount", "default", wanted), dict)
        )
        yield wanted
    finally:
        cluster.delete("v1", "Namespace", wanted)


def until(what: str, found: Callable[[], T], seconds: float = 60, every: float = 0.3) -> T:
    """The first true answer of `found`; fails the test when none came in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(every)
    pytest.fail(f"not seen in {seconds:.0f} s: {what}")


def image(which: str) -> str:
    """The image that PVSERVE_TEST_IMAGE_<WHICH> names, as in `image("llama")`."""
    return told(f"IMAGE_{which.upper()}")


def told(what: str) -> str:
    """What the environment says in PVSERVE_TEST_<WHAT>."""
    variable = f"PVSERVE_TEST_{what}"
    return os.environ.get(variable) or lacking(f"{variable} is not set")


def lacking(why: str) -> NoReturn:
    """Skips the test, or fails it where PVSERVE_REQUIRE says that all there is has to be tested."""
    if os.environ.get("PVSERVE_REQUIRE") in ("cluster", "bed"):
        pytest.fail(why)
    pytest.skip(why)


def storage_classes(cluster: Cluster) -> tuple[Object, ...]:
    """All of them, the default first."""
    found = cluster.list("storage.k8s.io/v1", "StorageClass")
    return tuple(sorted(found, key=lambda item: (annotations_of(item).get(DEFAULT_CLASS) != "true", name(item))))


def default_class(cluster: Cluster) -> str:
    """The name of the default class; skips where there is none."""
    for item in storage_classes(cluster):
        if annotations_of(item).get(DEFAULT_CLASS) == "true":
            return name(item)
    pytest.skip("the cluster has no default storage class")


def class_by_mode(cluster: Cluster, mode: str) -> str:
    """A class with this volumeBindingMode, the default first; skips where there is none."""
    for item in storage_classes(cluster):
        if item.get("volumeBindingMode", "Immediate") == mode:
            return name(item)
    pytest.skip(f"the cluster has no storage class that binds {mode}")
