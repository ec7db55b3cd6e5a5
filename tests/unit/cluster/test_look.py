"""One look at a cluster for many plans: what was asked once is not asked again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.look import Look
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


def test_dry_runs_go_to_the_server_each_time(serve: Serve, connect: Connect) -> None:
    server = serve(script)
    look = Look(connect(server))
    for _ in range(2):
        look.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}, dry_run=True)
    assert len(server.asked) == 2


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
