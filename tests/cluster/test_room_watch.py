"""Watches of a real API server: every change told once, over cut connections and an absent server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.watch import Told

from .accounts import admin_kubeconfig
from .relay import Relay

pytestmark = pytest.mark.cluster

MAP = ("v1", "ConfigMap")
TLS_NAME = "kubernetes.default.svc"  # in the certificate of every API server


def config_map(name: str, x: str, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"test": "watch", **labels}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": x}}


class Seen:
    """What a watch tells, in a thread of its own."""

    def __init__(self, changes: Iterator[Told]) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.error: BaseException | None = None
        self._changes = changes
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for kind, obj in self._changes:
                with self._news:
                    self.told.append((kind, obj["metadata"]["name"], obj["data"]["x"]))
                    self._news.notify_all()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def wait_for(self, kind: str, name: str, x: str, seconds: float = 20) -> float:
        """Until this was told; seconds that it took."""
        began = time.monotonic()
        with self._news:
            assert self._news.wait_for(lambda: (kind, name, x) in self.told, seconds), (self.told, self.error)
        return time.monotonic() - began

    def finish(self, seconds: float = 20) -> None:
        """Until the watch's own time is over."""
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        assert self.error is None
        assert len(self.told) == len(set(self.told)), "something was told twice"


def test_all_that_is_there_then_each_change_in_order(cluster: Cluster) -> None:
    cluster.create(config_map("a", "1"))
    seen = Seen(cluster.watch(*MAP, cluster.namespace, label_selector="test=watch", timeout=4))
    seen.wait_for("ADDED", "a", "1")
    cluster.patch(*MAP, "a", "", {"data": {"x": "2"}})
    cluster.create(config_map("b", "1"))
    cluster.delete(*MAP, "a")
    cluster.create(config_map("c", "1", test="other"))
    assert seen.wait_for("DELETED", "a", "2") < 2
    seen.finish()
    assert seen.told == [("ADDED", "a", "1"), ("MODIFIED", "a", "2"), ("ADDED", "b", "1"), ("DELETED", "a", "2")]


def test_one_object_by_name(cluster: Cluster) -> None:
    cluster.create(config_map("a", "1"))
    cluster.create(config_map("b", "1"))
    changes = cluster.watch(*MAP, cluster.namespace, name="b", timeout=2)
    assert [(kind, obj["metadata"]["name"]) for kind, obj in changes] == [("ADDED", "b")]


@pytest.fixture
def relay(cluster: Cluster) -> Iterator[Relay]:
    relay = Relay(cluster.server)
    yield relay
    relay.close()


@pytest.fixture
def relayed(cluster: Cluster, relay: Relay) -> Cluster:
    """The cluster, reached through the relay."""
    path = admin_kubeconfig(cluster.namespace, server=relay.url, **{"tls-server-name": TLS_NAME})
    return Cluster.connect(kubeconfig=str(path))


def test_cut_connections_lose_nothing(cluster: Cluster, relayed: Cluster, relay: Relay) -> None:
    seen = Seen(relayed.watch(*MAP, cluster.namespace, label_selector="test=watch", timeout=8))
    cluster.create(config_map("m0", "1"))
    seen.wait_for("ADDED", "m0", "1")
    for number in range(1, 5):
        cluster.create(config_map(f"m{number}", "1"))
        relay.cut()
        cluster.patch(*MAP, f"m{number}", "", {"data": {"x": "2"}})
    cluster.delete(*MAP, "m0")
    seen.wait_for("DELETED", "m0", "1")
    for number in range(1, 5):
        assert max(x for _, name, x in seen.told if name == f"m{number}") == "2"
    seen.finish()


def test_an_absent_server_is_waited_for_and_what_changed_is_told(
    cluster: Cluster, relayed: Cluster, relay: Relay
) -> None:
    cluster.create(config_map("gone", "1"))
    seen = Seen(relayed.watch(*MAP, cluster.namespace, label_selector="test=watch", timeout=9))
    seen.wait_for("ADDED", "gone", "1")
    relay.cut(away=True)
    cluster.delete(*MAP, "gone")
    cluster.create(config_map("new", "1"))
    time.sleep(2)
    relay.back()
    assert seen.wait_for("ADDED", "new", "1") < 8
    assert ("DELETED", "gone", "1") in seen.told
    seen.finish()


def test_a_version_that_is_too_old_is_an_expired_watch_of_the_server(cluster: Cluster) -> None:
    """What `watch` lists again on: a real API server says 410, at once or as an event."""
    path = f"/api/v1/namespaces/{cluster.namespace}/configmaps?watch=true&resourceVersion=1&timeoutSeconds=1"
    answer = cluster.raw("GET", path)
    assert answer.status == 410 or (answer.json().get("object") or {}).get("code") == 410
