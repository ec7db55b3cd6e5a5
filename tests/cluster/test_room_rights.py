"""Users with few rights, an expired or false token, a server that is away: told with verb, resource and remedy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.errors import NotAllowed, Temporary
from pvserve.facts import Right, Unknown

from .accounts import Account, write_kubeconfig

pytestmark = pytest.mark.cluster

MAP = ("v1", "ConfigMap")
Make = Callable[..., Account]


@pytest.fixture
def account(cluster: Cluster) -> Iterator[Make]:
    """Makes accounts with the given (verb, group, resource) in the test's namespace."""
    made: list[Account] = []

    def make(*rights: tuple[str, str, str]) -> Account:
        made.append(Account(cluster, cluster.namespace, [Right(*right, cluster.namespace) for right in rights]))
        return made[-1]

    yield make
    for each in made:
        each.forget()


def refused(error: NotAllowed, account: Account, words: str) -> str:
    """Checks the message; the command that makes the minimal Role."""
    assert error.exit_code == 4
    assert error.reason == "Forbidden"
    assert error.message == f"user {account.user} may not {words}"
    return error.remedy[0]


def test_each_forbidden_verb_is_named_with_its_resource(account: Make, cluster: Cluster, tmp_path: Path) -> None:
    nobody = account()
    limited = nobody.connect(tmp_path)
    where = f"in namespace {cluster.namespace}"
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    cluster.create(obj)
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: limited.get(*MAP, "a"), f"get configmaps {where}"),
        (lambda: limited.list(*MAP, cluster.namespace), f"list configmaps {where}"),
        (lambda: limited.create(obj), f"create configmaps {where}"),
        (lambda: limited.apply(obj), f"patch configmaps {where}"),
        (lambda: limited.delete(*MAP, "a"), f"delete configmaps {where}"),
        (lambda: limited.list("v1", "PersistentVolume"), "list persistentvolumes (cluster-wide)"),
        (
            lambda: limited.get("serving.kserve.io/v1beta1", "InferenceService", "a"),
            f"get inferenceservices.serving.kserve.io {where}",
        ),
        (lambda: limited.logs("p", cluster.namespace, "main"), f"get pods/log {where}"),
    ]
    for attempt, words in attempts:
        with pytest.raises(NotAllowed) as caught:
            attempt()
        assert refused(caught.value, nobody, words).startswith("kubectl create ")


def test_a_forbidden_stream_names_the_verb(account: Make, cluster: Cluster, tmp_path: Path) -> None:
    nobody = account()
    with pytest.raises(NotAllowed) as caught:
        nobody.connect(tmp_path).exec("p", cluster.namespace, "main", ["true"])
    assert re.match(rf"user {nobody.user} may not (get|create) pods/exec in namespace", caught.value.message)


def test_the_printed_commands_give_exactly_the_missing_right(account: Make, cluster: Cluster, tmp_path: Path) -> None:
    """Their meaning is carried out here through the API: the tests need no kubectl."""
    nobody = account()
    limited = nobody.connect(tmp_path)
    with pytest.raises(NotAllowed) as caught:
        limited.list(*MAP, cluster.namespace)
    role, binding = (shlex.split(line) for line in caught.value.remedy[:2])
    flags = dict(word.removeprefix("--").split("=", 1) for word in role + binding if word.startswith("--"))
    assert (flags["verb"], flags["resource"], flags["serviceaccount"]) == (
        "list",
        "configmaps",
        f"{cluster.namespace}:{nobody.name}",
    )
    assert role[-2:] == binding[-2:] == ["-n", cluster.namespace]
    assert flags["role"] == role[3]
    allowed = account((flags["verb"], "", flags["resource"])).connect(tmp_path)
    assert allowed.list(*MAP, cluster.namespace)
    with pytest.raises(NotAllowed):
        allowed.get(*MAP, "kube-root-ca.crt")


def test_what_may_not_be_read_is_unknown_and_never_absent(account: Make, cluster: Cluster, tmp_path: Path) -> None:
    limited = account(("get", "", "configmaps")).connect(tmp_path)
    assert limited.find(*MAP, "none") is None
    for unknown in (
        limited.find("v1", "Secret", "none"),
        limited.find_metadata("v1", "Secret", "none"),
        limited.find_all(*MAP, cluster.namespace),
    ):
        assert isinstance(unknown, Unknown)
        assert unknown.cause == "forbidden"
        assert "may not" in unknown.why


def test_can_tells_what_the_server_would_allow(account: Make, cluster: Cluster, tmp_path: Path) -> None:
    limited = account(("get", "", "pods/exec"), ("list", "apps", "deployments")).connect(tmp_path)
    here = cluster.namespace
    assert limited.can(Right("get", "", "pods/exec", here)) is True
    assert limited.can(Right("create", "", "pods/exec", here)) is False
    assert limited.can(Right("get", "", "pods", here)) is False
    assert limited.can(Right("list", "apps", "deployments", here)) is True
    assert limited.can(Right("list", "", "deployments", here)) is False
    assert limited.can(Right("create", "storage.k8s.io", "storageclasses")) is False


def test_a_false_token_is_not_logged_in(cluster: Cluster, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", cluster.namespace, {"token": "no-such-token"})
    stranger = Cluster.connect(kubeconfig=str(path))
    for attempt in (
        lambda: stranger.list(*MAP, cluster.namespace),
        lambda: stranger.exec("p", cluster.namespace, "main", ["true"]),
        lambda: stranger.find(*MAP, "a"),  # not Unknown: nothing can be read at all
    ):
        with pytest.raises(NotAllowed) as caught:
            attempt()
        assert caught.value.reason == "NotLoggedIn"
        assert caught.value.remedy[0].startswith("oc login ")
        assert "no-such-token" not in str(caught.value.as_dict())


def test_a_token_that_ends_meanwhile_is_read_again_from_its_file(
    account: Make, cluster: Cluster, tmp_path: Path
) -> None:
    """An account that is gone takes its token with it at once: the same 401 as an expired one."""
    first, second = account(("list", "", "configmaps")), account(("list", "", "configmaps"))
    token = tmp_path / "token"
    token.write_text(first.token())
    path = write_kubeconfig(tmp_path / "kubeconfig", cluster.namespace, {"tokenFile": str(token)})
    limited = Cluster.connect(kubeconfig=str(path))
    assert limited.list(*MAP, cluster.namespace)
    cluster.delete("v1", "ServiceAccount", first.name)
    token.write_text(second.token())
    assert limited.list(*MAP, cluster.namespace)


def test_a_server_that_is_away_is_temporary_and_told_within_seconds(cluster: Cluster, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", cluster.namespace, {"token": "t"}, server="https://127.0.0.1:9")
    with pytest.raises(Temporary, match=r"https://127\.0\.0\.1:9 does not answer") as caught:
        Cluster.connect(kubeconfig=str(path)).version()
    assert caught.value.exit_code == 5


def test_impersonation_acts_as_the_other_user(account: Make, cluster: Cluster) -> None:
    nobody = account(("list", "", "configmaps"))
    acting = Cluster.connect(namespace=cluster.namespace, as_user=nobody.user)
    assert acting.list(*MAP, cluster.namespace)
    with pytest.raises(NotAllowed, match=f"user {nobody.user} may not get configmaps"):
        acting.get(*MAP, "kube-root-ca.crt")
