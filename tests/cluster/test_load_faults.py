"""A load that is struck in the middle ends with the right files, or says why not and goes on when it is repeated.

Each fault needs the API alone. Those that need the machine below the cluster are in tests/bed/test_load_cuts.py.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.errors import NotAllowed
from pvserve.facts import name
from pvserve.plan.rights import rights_of

from .accounts import Account, admin_kubeconfig, write_kubeconfig
from .offers import image, storage_classes, until
from .relay import Relay
from .struck import Struck, check_not_sent_again, check_whole, claim, in_loader, loader, model, on_claim, total
from .ui_service import Ran, leaving_nothing, own_pods, pvserve

pytestmark = pytest.mark.cluster
TARGET = "pvc://models/granite"
AGENT = "pvserve-agent"  # in the arguments of the program in the loader pod


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("models") / "granite")


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def load(cluster: Cluster, source: Path, *more: str) -> list[str]:
    return ["load", str(source), TARGET, "-n", cluster.namespace, "-y", *more]


def check_done(cluster: Cluster, source: Path, done: Ran) -> None:
    assert done.code == 0, done.explained()
    until("no pod of pvserve is left", lambda: not own_pods(cluster))
    check_whole(cluster, "models", "granite", source)


def test_loader_pod_deleted(cluster: Cluster, source: Path) -> None:
    claim(cluster, "models", "1Gi")
    struck = Struck(*load(cluster, source))
    durable = struck.stopped()
    cluster.delete("v1", "Pod", name(loader(cluster)), cluster.namespace, grace_seconds=0)
    struck.go_on()
    done = struck.ended()
    check_done(cluster, source, done)
    check_not_sent_again(done, source, durable)
    assert struck.said("another one takes its place"), done.explained()


def test_loader_pod_evicted(cluster: Cluster, source: Path) -> None:
    claim(cluster, "models", "1Gi")
    struck = Struck(*load(cluster, source))
    durable = struck.stopped()
    pod = name(loader(cluster))
    where = {"name": pod, "namespace": cluster.namespace}
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": where}).encode()
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/eviction"
    assert cluster.raw("POST", path, eviction, {"Content-Type": "application/json"}).status == 201
    struck.go_on()
    done = struck.ended()
    check_done(cluster, source, done)
    check_not_sent_again(done, source, durable)
    assert struck.said("another one takes its place"), done.explained()


# Fills the container's memory with pages that count for no process, so that the kernel must take the agent. Slowly: a
# victim that is still dying frees its memory for the next page, and the one after is then taken from this process.
OUT_OF_MEMORY = f"""
import glob, os, time
for entry in glob.glob("/proc/[0-9]*"):
    try:
        if b"{AGENT}" in open(entry + "/cmdline", "rb").read() and int(entry[6:]) != os.getpid():
            agent = entry
            open(entry + "/oom_score_adj", "w").write("1000")
    except OSError:
        pass
memory = os.memfd_create("memory")
while os.path.exists(agent) and " Z" not in open(agent + "/status").read().split("State:")[1][:4]:
    os.write(memory, bytes(1 << 20))
    time.sleep(0.01)
"""
KERNEL_COUNTS = "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events 2>/dev/null | grep oom_kill"
AGENT_RUNS = f"""
for p in /proc/[0-9]*; do [ "${{p#/proc/}}" != $$ ] && grep -q {AGENT} "$p/cmdline" && echo yes; done 2>/dev/null
true
"""


def was_killed_for_memory(cluster: Cluster) -> bool:
    """The kernel took the agent alone (cgroup v1), or all of the container (cgroup v2)."""
    ends = [state.get("state", {}).get("terminated", {}) for state in loader(cluster)["status"]["containerStatuses"]]
    if [end.get("reason") for end in ends] == ["OOMKilled"]:
        return True
    counts = in_loader(cluster, "sh", "-c", KERNEL_COUNTS)
    running = in_loader(cluster, "sh", "-c", AGENT_RUNS)
    return re.search(r"oom_kill [1-9]", counts) is not None and "yes" not in running


def test_agent_killed_by_the_kernel_for_memory(cluster: Cluster, source: Path) -> None:
    """Where the kernel kills the whole container (cgroup v2), another pod takes its place."""
    claim(cluster, "models", "1Gi")
    struck = Struck(*load(cluster, source))
    struck.stopped()
    in_loader(cluster, "python3", "-c", OUT_OF_MEMORY)
    until("the kernel killed the agent for its memory", lambda: was_killed_for_memory(cluster))
    struck.go_on()
    done = struck.ended()
    check_done(cluster, source, done)
    check_not_sent_again(done, source)


def kill_agent(cluster: Cluster) -> None:
    """kill -9 of the program in the loader pod; its streams end."""
    kill = f'for p in /proc/[0-9]*; do grep -q {AGENT} "$p/cmdline" && kill -9 "${{p#/proc/}}"; done 2>/dev/null; true'
    in_loader(cluster, "sh", "-c", kill)


def test_token_revoked_and_renewed(cluster: Cluster, source: Path, tmp_path: Path) -> None:
    """The token ends with the object that it is bound to, and the load needs a new session before it can go on."""
    claim(cluster, "models", "1Gi")
    account = Account(cluster, cluster.namespace, rights_of("load", cluster.namespace))
    try:
        token = tmp_path / "token"
        token.write_text(account.token(bound_to="first"))
        config = write_kubeconfig(tmp_path / "kubeconfig", cluster.namespace, {"tokenFile": str(token)})
        old = write_kubeconfig(tmp_path / "old", cluster.namespace, {"token": token.read_text()})
        how = ["--via", "port-forward", "--image", image("llama")]  # KServe's configuration it may not read
        struck = Struck(*load(cluster, source, *how), "--kubeconfig", str(config))
        struck.stopped()
        cluster.delete("v1", "Secret", "first", cluster.namespace)
        until("the old token is refused", lambda: is_refused(old))  # the API server remembers it for some seconds
        kill_agent(cluster)
        token.write_text(account.token(bound_to="second"))
        struck.go_on()
        done = struck.ended()
    finally:
        account.forget()
    check_done(cluster, source, done)
    check_not_sent_again(done, source)


def is_refused(kubeconfig: Path) -> bool:
    cluster = Cluster.connect(kubeconfig=str(kubeconfig))
    try:
        cluster.find("v1", "PersistentVolumeClaim", "models", cluster.namespace)
    except NotAllowed as error:
        return error.reason == "NotLoggedIn"
    return False


def test_claim_full_in_the_middle_then_resized(cluster: Cluster, source: Path) -> None:
    growing = [name(item) for item in storage_classes(cluster) if item.get("allowVolumeExpansion")]
    if not growing:
        pytest.skip("the cluster has no class whose volumes can grow")
    claim(cluster, "models", "512Mi", growing[0])
    struck = Struck(*load(cluster, source))
    durable = struck.stopped()
    on_claim(cluster, "models", "dd if=/dev/zero of=/claim/other bs=1M 2>/dev/null; sync; ls -l /claim/other")
    struck.go_on()
    full = struck.ended()
    assert (full.code, full.error["reason"]) == (1, "ClaimFull"), full.explained()
    assert "claim models is full" in full.error["message"]
    assert own_pods(cluster) == []
    refused = pvserve(*load(cluster, source))
    assert (refused.code, refused.error["reason"]) == (3, "ClaimTooSmall"), refused.explained()
    told = f"pvserve resize models 1Gi -n {cluster.namespace}"
    assert (full.error["remedy"][0], refused.error["remedy"][0]) == (told, told)
    grown = pvserve(*told.split()[1:], "-y")
    assert grown.code == 0, grown.explained()
    again = pvserve(*load(cluster, source))
    check_done(cluster, source, again)
    assert again.lines[-1]["sent"] <= total(source) - durable


@pytest.fixture
def relay(cluster: Cluster) -> Iterator[Relay]:
    made = Relay(cluster.server)
    yield made
    made.close()


def test_api_server_away_for_a_while(cluster: Cluster, source: Path, relay: Relay) -> None:
    """Its connections break and new ones are refused; what was acknowledged is not sent again."""
    claim(cluster, "models", "1Gi")
    config = str(admin_kubeconfig(cluster.namespace, server=relay.url))
    struck = Struck(*load(cluster, source), "--via", "port-forward", "--kubeconfig", config)
    struck.stopped()
    relay.cut(away=True)
    struck.go_on()
    until("the load waits", lambda: struck.said('"waiting_for": "the loader pod'))
    relay.back()
    done = struck.ended()
    check_done(cluster, source, done)
    check_not_sent_again(done, source)


def test_ctrl_c_is_heard_while_the_api_server_is_away(cluster: Cluster, source: Path, relay: Relay) -> None:
    claim(cluster, "models", "1Gi")
    config = str(admin_kubeconfig(cluster.namespace, server=relay.url))
    struck = Struck(*load(cluster, source), "--via", "port-forward", "--kubeconfig", config)
    struck.stopped()
    relay.cut(away=True)
    struck.go_on()
    until("the load waits", lambda: struck.said('"waiting_for": "the loader pod'))
    struck.signal(signal.SIGINT)
    cut = struck.ended(seconds=60)
    assert cut.code == 130, cut.explained()
    relay.back()
    again = pvserve(*load(cluster, source))
    check_done(cluster, source, again)
    check_not_sent_again(again, source, struck.durable)
