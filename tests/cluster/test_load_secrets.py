"""No secret of a load is to be seen: in objects, events, logs, arguments, on the volume, in what is said."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pvserve.api import models
from pvserve.cluster import Cluster
from pvserve.plan.rights import rights_of
from pvserve.spec.model import ModelSpec
from pvserve.transfer import channels
from pvserve.transfer.session import Session
from pvserve.transfer.tls import Secret, new_secret

from .accounts import Account, write_kubeconfig
from .offers import image
from .struck import claim, in_loader, loader, on_claim
from .ui_service import leaving_nothing

pytestmark = pytest.mark.cluster
KINDS = (
    ("v1", "Pod"),
    ("v1", "Event"),
    ("v1", "PersistentVolumeClaim"),
    ("coordination.k8s.io/v1", "Lease"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ConfigMap"),
)
# Everything that processes of the loader pod were started with, and all files that pvserve made.
IN_THE_POD = """
cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '
find /tmp /claim/.pvserve -type f -exec cat {} +
"""


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def needles(token: str, transfers: list[Secret]) -> set[str]:
    """The secrets as they would be seen: whole, each part of a token that tells something, plain and in base64."""
    plain = {token, token.split(".")[2]}
    for transfer in transfers:
        plain |= {transfer.token, *[line for line in transfer.key.splitlines() if len(line) > 40]}
    return plain | {base64.b64encode(secret.encode()).decode().rstrip("=")[:-1] for secret in plain}


def looked_at(cluster: Cluster) -> dict[str, str]:
    """What others can see of a load that is under way."""
    seen = {kind: json.dumps(cluster.list(api, kind, cluster.namespace)) for api, kind in KINDS}
    pod = loader(cluster)
    seen["logs"] = cluster.logs(pod["metadata"]["name"], cluster.namespace, "pvserve", tail=1000)
    seen["in the pod"] = in_loader(cluster, "sh", "-c", IN_THE_POD)
    return seen


@pytest.mark.parametrize("via", ["pod", "port-forward"])
def test_no_secret_of_a_load_is_to_be_seen(
    via: str,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    claim(cluster, "models", "128Mi")
    source = tmp_path / "granite"
    source.mkdir()
    (source / "weights.bin").write_bytes(b"w" * 5_000_000)
    account = Account(cluster, cluster.namespace, rights_of("load", cluster.namespace))
    token = account.token()
    limited = Cluster.connect(
        kubeconfig=str(write_kubeconfig(tmp_path / "kubeconfig", cluster.namespace, {"token": token}))
    )
    transfers: list[Secret] = []
    seen: dict[str, str] = {}
    told: list[Any] = []
    begin = Session.run

    def kept() -> Secret:
        transfers.append(new_secret())
        return transfers[-1]

    def looking(session: Session) -> None:
        seen.update(looked_at(cluster))  # the agent listens, and its client is connected
        begin(session)

    monkeypatch.setattr(channels, "new_secret", kept)
    monkeypatch.setattr(Session, "run", looking)
    spec = {
        "name": "m",
        "model": str(source),
        "claim": "models",
        "path": "granite",
        "loader": {"via": via, "image": image("llama")},
    }
    with caplog.at_level(logging.DEBUG):
        done = models.load(ModelSpec.model_validate(spec), limited, listen=told.append)
    account.forget()
    seen["on the volume"] = on_claim(cluster, "models", "find /claim/.pvserve -type f -exec cat {} +")
    seen["afterwards"] = json.dumps([cluster.list(api, kind, cluster.namespace) for api, kind in KINDS])
    seen["what is said"] = json.dumps([asdict(event) for event in told]) + repr(done) + repr(limited)
    seen["logged"] = caplog.text + "".join(capfd.readouterr())
    seen["threads"] = " ".join(thread.name for thread in threading.enumerate())
    assert transfers, "the load made no secret, so nothing could be seen"
    assert "pvserve-agent" in seen["in the pod"], "the agent was not looked at"
    for where, text in seen.items():
        found = [needle[:12] for needle in needles(token, transfers) if needle in text]
        assert found == [], f"{where} holds {found}"
