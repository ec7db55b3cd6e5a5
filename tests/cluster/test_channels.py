"""Each way into a pod through a real API server: bytes arrive whole, and what may not be used is passed over."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster, PodReach
from pvserve.errors import PvserveError, Refused, Temporary
from pvserve.events import Note
from pvserve.facts import Right
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, Via, inspect, load

from .accounts import Account
from .offers import until
from .ui_service import gguf, leaving_nothing, pvserve

pytestmark = [pytest.mark.cluster, pytest.mark.classes]

MOUNT = "/tmp/claim"  # a directory does for a claim here
POD = "loader"
LISTEN = """
import socket
listening = socket.create_server(("", 8080))
print("listening", flush=True)
while True:
    peer = listening.accept()[0]
    print(peer.recv(65536).decode(), flush=True)
    peer.sendall(b"HTTP/1.1 426 Upgrade Required\\r\\nContent-Length: 0\\r\\n\\r\\n")
    peer.close()
"""


class FromOutside(PodReach):
    """A pod whose address this machine does not reach."""

    @property
    def address(self) -> None:
        return None


@pytest.fixture(scope="module")
def place(module_cluster: Cluster) -> Cluster:
    """A namespace with a running pod that has Python, and shows requests to its port 8080 in its log."""
    container = {
        "name": "main",
        "image": module_cluster.storage_initializer_image(),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", f"import os; os.mkdir({MOUNT!r})\n{LISTEN}"],
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    module_cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": spec})
    until("a pod that listens", lambda: "listening" in said(module_cluster), 90)
    return module_cluster


def said(cluster: Cluster) -> str:
    try:
        return cluster.logs(POD, cluster.namespace, "main", tail=100)
    except PvserveError:
        return ""  # the container does not run yet


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf(tmp_path_factory.mktemp("models") / "granite")


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    return DigestCache(tmp_path / "digests")


@pytest.mark.parametrize("via", ["proxy", "port-forward", "exec"])
def test_bytes_arrive_whole(place: Cluster, model: Path, cache: DigestCache, via: Via) -> None:
    reach = place.reach(POD, place.namespace, "main")
    target = Target(f"by-{via}", "none", MOUNT)
    done = load(listing(model), reach, target, via=via, cache=cache)
    assert (done.channel, done.sent_bytes) == (via, done.manifest.bytes)
    report = inspect(reach, target.path, "full", mount=MOUNT)
    assert (report.matches, report.missing, report.extra, report.changed) == (len(listing(model).entries), (), (), ())
    sums = f"{MOUNT}/.pvserve/models/{target.path}/{done.manifest_digest.removeprefix('sha256:')}/SHA256SUMS"
    checked = reach.run(["sh", "-c", f"cd {MOUNT}/{target.path} && sha256sum -c {sums}"])
    assert checked.returncode == 0, checked.err


@dataclasses.dataclass
class Limited:
    """An account that may use these ways into the pod, and what a load of its says."""

    account: Account
    reach: PodReach
    notes: list[str] = dataclasses.field(default_factory=list)

    def heard(self, event: object) -> None:
        if isinstance(event, Note):
            self.notes.append(event.text)


def limited(place: Cluster, directory: Path, *resources: str) -> Limited:
    verbs = [(verb, f"pods/{name}") for name in ("exec", *resources) for verb in ("get", "create")]
    rights = [Right(verb, "", resource, place.namespace) for verb, resource in [("get", "pods"), *verbs]]
    account = Account(place, place.namespace, rights)
    return Limited(account, FromOutside(account.connect(directory), POD, place.namespace, "main"))


@pytest.mark.parametrize(
    ("may", "taken"), [(("proxy",), "proxy"), (("portforward",), "port-forward"), ((), "exec")], ids=lambda x: str(x)
)
def test_what_the_account_may_not_use_is_passed_over_with_its_reason(
    place: Cluster, model: Path, cache: DigestCache, tmp_path: Path, may: tuple[str, ...], taken: str
) -> None:
    who = limited(place, tmp_path, *may)
    done = load(listing(model), who.reach, Target(f"as-{taken}", "none", MOUNT), cache=cache, listen=who.heard)
    assert done.channel == taken
    words = "\n".join(who.notes)
    assert f"by {taken}" in words
    for resource in {"proxy", "portforward"} - set(may) - ({"portforward"} if taken == "proxy" else set()):
        assert f"user {who.account.user} may not" in words
        assert f"pods/{resource}" in words


def test_the_proxy_that_was_asked_for_is_not_replaced(place: Cluster, model: Path, tmp_path: Path) -> None:
    who = limited(place, tmp_path, "portforward")
    with pytest.raises(Refused) as refused:
        load(listing(model), who.reach, Target("refused", "none", MOUNT), via="proxy")
    assert refused.value.reason == "ChannelUnavailable"
    assert "may not get pods/proxy" in refused.value.message


def test_a_port_where_nobody_listens_is_told_soon(place: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises(Temporary, match="refused"):
        place.proxied(POD, place.namespace, 8081, 10)
    assert time.monotonic() - began < 5


def test_who_does_not_agree_to_the_upgrade_is_told_and_sees_no_credentials(place: Cluster, tmp_path: Path) -> None:
    who = limited(place, tmp_path, "proxy")  # with a bearer token, as the test's own user may have none
    with pytest.raises(PvserveError, match="426"):
        who.reach.proxied(8080, 10)
    until("the request", lambda: "GET /pvserve HTTP/1.1" in said(place))
    seen = said(place).lower()
    assert "upgrade: websocket" in seen
    assert "authorization" not in seen
    assert who.account.token()[:20].lower() not in seen  # all tokens of an issuer begin alike


@pytest.fixture
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


@pytest.mark.usefixtures("_nothing_left")
def test_the_command_loads_by_the_proxy_and_proves_it(cluster: Cluster, model: Path) -> None:
    where = ["-n", cluster.namespace]
    loaded = pvserve("load", model, "pvc://vllm/granite", "--size", "1Gi", "--via", "proxy", "-y", *where)
    assert loaded.code == 0, loaded.explained()
    assert {line["channel"] for line in loaded.lines if line["type"] == "transfer" and line["channel"]} == {"proxy"}
    proof = pvserve("verify", "pvc://vllm/granite", *where)
    assert proof.code == 0, proof.explained()
