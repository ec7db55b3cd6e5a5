"""One look at a cluster for many plans: what was asked once is not asked again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.look import FEW, Look
from pvserve.errors import Temporary
from pvserve.facts import Right, Unknown

from .conftest import Serve
from .server import CUT, Answer, Asked, status

CLASSES = ("storage.k8s.io/v1", "StorageClass")
Connect = Callable[..., Cluster]


def script(asked: Asked) -> Answer:
    if "selfsubjectaccessreviews" in asked.path:
        return Answer(body={"status": {"allowed": True}})
    if asked.path.endswith("storageclasses"):
        return Answer(body={"kind": "StorageClassList", "apiVersion": CLASSES[0], "metadata": {}, "items": []})
    if "/missing" in asked.path:
        return status(404, reason="NotFound", name="missing", kind="pods")
    if "/secret" in asked.path:
        return status(
            403, 'pods "secret" is forbidden: User "u" cannot get resource "pods" in API group ""', "Forbidden"
        )
    return Answer(body={"metadata": {"name": asked.path.rpartition("/")[2]}})


def test_the_same_question_is_asked_once_also_at_the_same_moment(serve: Serve, connect: Connect) -> None:
    server = serve(script)
    look = Look(connect(server))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            pool.submit(look.find_all, *CLASSES)
            pool.submit(look.within("other").find, "v1", "Pod", "a", "llm")
            pool.submit(look.can, Right("get", "", "pods", "llm"))
    assert len(server.asked) == 3


def test_what_is_absent_or_forbidden_is_remembered_as_such(serve: Serve, connect: Connect) -> None:
    server = serve(script)
    look = Look(connect(server))
    for _ in range(2):
        assert look.find("v1", "Pod", "missing", "llm") is None
        assert isinstance(look.find("v1", "Pod", "secret", "llm"), Unknown)
    assert len(server.asked) == 2


def test_names_namespaces_and_forms_are_told_apart(serve: Serve, connect: Connect) -> None:
    server = serve(script)
    look = Look(connect(server))
    look.within("a").find("v1", "Pod", "x")
    look.within("b").find("v1", "Pod", "x")
    look.within("b").find_metadata("v1", "Pod", "x")
    assert len(server.asked) == 3


def config(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}}


def test_the_same_dry_run_is_made_once_and_what_writes_each_time(serve: Serve, connect: Connect) -> None:
    server = serve(script)
    look = Look(connect(server))
    for name in ("c", "c", "d"):
        look.apply(config(name), dry_run=True)
    assert len(server.asked) == 2
    for _ in range(2):
        look.apply(config("c"))
    assert len(server.asked) == 4


def test_many_names_are_looked_for_in_one_list(serve: Serve, connect: Connect) -> None:
    items = [{"metadata": {"name": "c5", "namespace": where}} for where in ("a", "b")]
    body = {"kind": "PersistentVolumeClaimList", "apiVersion": "v1", "metadata": {}, "items": items}
    server = serve(lambda asked: Answer(body={**body, "items": [] if "fieldSelector" in asked.query else items}))
    look = Look(connect(server))
    for number in range(FEW):
        look.find_all("v1", "PersistentVolumeClaim", field_selector=f"metadata.name=x{number}")
    found = [look.find_all("v1", "PersistentVolumeClaim", field_selector=f"metadata.name=c{n}") for n in range(40)]
    assert len(server.asked) == FEW + 1
    assert [len(each) for each in found if not isinstance(each, Unknown)] == [2 if n == 5 else 0 for n in range(40)]


CLAIM = ("v1", "PersistentVolumeClaim")
WHY_NOT = 'persistentvolumeclaims is forbidden: User "u" cannot list resource "persistentvolumeclaims" in API group ""'


def claims(asked: Asked, *, listed: bool = True) -> Answer:
    """Claim c5 of namespace n."""
    c5 = {"metadata": {"name": "c5", "namespace": "n"}}
    if asked.path.endswith("/persistentvolumeclaims"):
        if not listed:
            return status(403, WHY_NOT, "Forbidden")
        return Answer(body={"kind": "PersistentVolumeClaimList", "apiVersion": "v1", "metadata": {}, "items": [c5]})
    if asked.path.endswith("/c5"):
        return Answer(body={"kind": CLAIM[1], "apiVersion": "v1", **c5})
    return status(404, reason="NotFound", name=asked.path.rpartition("/")[2], kind="persistentvolumeclaims")


def test_of_many_objects_of_a_namespace_one_list_is_asked_for(serve: Serve, connect: Connect) -> None:
    server = serve(claims)
    look = Look(connect(server)).within("n")
    found = {n: look.find(*CLAIM, f"c{n}") for n in (*range(20, 20 + FEW), *range(20))}
    assert [(n, item["kind"]) for n, item in found.items() if isinstance(item, dict)] == [(5, CLAIM[1])]
    assert not any(isinstance(item, Unknown) for item in found.values())
    assert len(server.asked) == FEW + 1


def test_where_nothing_may_be_listed_each_is_asked_for(serve: Serve, connect: Connect) -> None:
    server = serve(lambda asked: claims(asked, listed=False))
    look = Look(connect(server)).within("n")
    found = {n: look.find(*CLAIM, f"c{n}") for n in range(20)}
    assert [n for n, item in found.items() if item is not None] == [5]
    assert len(server.asked) == 20 + 1


def test_secrets_are_never_listed(serve: Serve, connect: Connect) -> None:
    server = serve(script)
    look = Look(connect(server))
    for number in range(2 * FEW):
        look.find_metadata("v1", "Secret", f"s{number}", "n")
        look.find("v1", "Secret", f"s{number}", "n")
    assert not [asked for asked in server.asked if asked.path.endswith("/secrets")]


def test_a_read_that_fails_fails_for_all_without_new_patience(serve: Serve, connect: Connect) -> None:
    server = serve(lambda _: CUT)
    look = Look(connect(server))
    for _ in range(2):
        with pytest.raises(Temporary):
            look.find_all(*CLASSES)
    tries = len(server.asked)
    with pytest.raises(Temporary):
        look.find_all(*CLASSES)
    assert len(server.asked) == tries


def test_what_is_waited_for_is_asked_anew(serve: Serve, connect: Connect) -> None:
    server = serve(script)
    look = Look(connect(server)).within("other")
    look.find("v1", "Pod", "a")
    for _ in range(2):
        look.anew().find("v1", "Pod", "a")
    assert len(server.asked) == 3
    assert all("/namespaces/other/" in asked.path for asked in server.asked)
