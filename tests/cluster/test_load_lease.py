"""A Lease is lost to another holder and to nobody else: not to a lost answer, nor to a server that is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pvserve.apply import lease
from pvserve.apply.lease import Held, lease_name, writing
from pvserve.cluster import Cluster
from pvserve.errors import Refused
from pvserve.transfer.agent.place import FIRST_LEASE

from .accounts import admin_kubeconfig
from .offers import until
from .relay import Relay

pytestmark = pytest.mark.cluster
LEASE = ("coordination.k8s.io/v1", "Lease")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.3)
    monkeypatch.setattr(lease, "WATCH_SLACK_SECONDS", 0.3)


@pytest.fixture
def relay(cluster: Cluster) -> Iterator[Relay]:
    made = Relay(cluster.server)
    yield made
    made.close()


def written(cluster: Cluster, spec: dict[str, Any]) -> None:
    """What somebody else writes into the Lease."""
    cluster.patch(*LEASE, lease_name("models", "granite"), cluster.namespace, {"spec": spec})


def renewed_again(held: Held) -> bool:
    before = held.renewed
    return until("it is renewed", lambda: held.lost.is_set() or held.renewed > before, seconds=20)


def test_its_own_renewal_whose_answer_was_lost_is_no_other_holder(cluster: Cluster) -> None:
    with writing(cluster, "models", "granite", threading.Event(), lambda _: None) as held:
        written(cluster, {"renewTime": "2026-01-01T00:00:00.000000Z"})
        renewed_again(held)
        assert not held.lost.is_set()


def test_another_holder_is_heard_of(cluster: Cluster) -> None:
    with writing(cluster, "models", "granite", threading.Event(), lambda _: None) as held:
        written(cluster, {"holderIdentity": "somebody else", "leaseTransitions": held.epoch + 1})
        until("it is lost", held.lost.is_set, seconds=20)
    spec = cluster.get(*LEASE, lease_name("models", "granite"), cluster.namespace)["spec"]
    assert spec["holderIdentity"] == "somebody else", "it was taken away from its new holder"


@pytest.mark.parametrize("away", [timedelta(days=1), timedelta(days=-1)])
def test_a_dead_holder_is_overtaken_whatever_its_clock_said(away: timedelta, cluster: Cluster) -> None:
    left_by_another(cluster, away)
    with writing(cluster, "models", "granite", threading.Event(), lambda _: None) as held:
        assert held.epoch == FIRST_LEASE + 8


@pytest.mark.parametrize("away", [timedelta(days=1), timedelta(days=-1)])
def test_a_living_holder_is_not_overtaken_whatever_its_clock_says(away: timedelta, cluster: Cluster) -> None:
    left_by_another(cluster, away)

    def renewed(_said: str) -> None:
        """The holder shows a sign of life once it is watched."""
        written(cluster, {"renewTime": a_time(away + timedelta(seconds=15))})

    with pytest.raises(Refused) as busy, writing(cluster, "models", "granite", threading.Event(), renewed):
        pass
    assert (busy.value.reason, "somebody else" in busy.value.message) == ("WriterActive", True)


def a_time(away: timedelta) -> str:
    return (datetime.now(UTC) + away).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def left_by_another(cluster: Cluster, away: timedelta) -> None:
    """A Lease that somebody else holds, whose clock is off by `away`."""
    with writing(cluster, "models", "granite", threading.Event(), lambda _: None):
        pass
    held = {"holderIdentity": "somebody else", "leaseTransitions": 7, "leaseDurationSeconds": 60}
    written(cluster, {**held, "acquireTime": a_time(away), "renewTime": a_time(away)})


def test_a_server_that_is_away_makes_it_doubtful_until_it_is_back(
    cluster: Cluster, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DURATION_SECONDS", 2)
    through = Cluster.connect(kubeconfig=str(admin_kubeconfig(cluster.namespace, server=relay.url)))
    with writing(through, "models", "granite", threading.Event(), lambda _: None) as held:
        relay.cut(away=True)
        until("it is doubtful", lambda: held.doubtful, seconds=20)
        assert not held.certain(threading.Event(), 0.5)
        relay.back()
        assert held.certain(threading.Event(), 40)
        assert not held.lost.is_set()
