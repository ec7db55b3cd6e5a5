"""Whether a cluster's KServe imports onto claims, from what its API server publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.model_caches import read_model_caches
from pvserve.facts import Unknown

from .conftest import Serve
from .server import Answer, Asked, Script, status

API = "/apis/serving.kserve.io/v1alpha1"
KIND = "LocalModelNamespaceCache"
LISTED = {"resources": [{"name": "localmodelnamespacecaches", "kind": KIND, "namespaced": True}]}
CACHE = {"metadata": {"name": "llama", "namespace": "llm"}, "spec": {"pvcRef": "models"}}


def described(*fields: str) -> dict[str, Any]:
    of = [{"group": "serving.kserve.io", "version": "v1alpha1", "kind": KIND}]
    spec = {"properties": {field: {"type": "string"} for field in fields}}
    return {"components": {"schemas": {"x": {"x-kubernetes-group-version-kind": of, "properties": {"spec": spec}}}}}


def script(kinds: Any, document: Answer, caches: Answer | None = None) -> Script:
    def answer(asked: Asked) -> Answer:
        if asked.path == API:
            return kinds if isinstance(kinds, Answer) else Answer(200, kinds)
        if asked.path == f"/openapi/v3{API}":
            return document
        assert asked.path.endswith("/namespaces/llm/localmodelnamespacecaches")
        return caches or Answer(200, {"metadata": {}, "kind": f"{KIND}List", "apiVersion": "x", "items": [CACHE]})

    return answer


@pytest.mark.parametrize(("fields", "wanted"), [(("pvcRef", "nodeGroups"), True), (("nodeGroups",), False)])
def test_the_published_fields_tell(
    serve: Serve, connect: Callable[..., Cluster], fields: tuple[str, ...], wanted: bool
) -> None:
    found = read_model_caches(connect(serve(script(LISTED, Answer(200, described(*fields))))), "llm")
    assert found.into_claims is wanted
    assert not isinstance(found.caches, Unknown)
    assert [cache["metadata"]["name"] for cache in found.caches] == ["llama"]


@pytest.mark.parametrize("kinds", [{"resources": []}, status(404, "not found", "NotFound")])
def test_a_cluster_without_the_kind_has_none(serve: Serve, connect: Callable[..., Cluster], kinds: Any) -> None:
    found = read_model_caches(connect(serve(script(kinds, Answer(500)))), "llm")
    assert (found.into_claims, found.caches) == (False, ())


def test_what_may_not_be_read_is_unknown(serve: Serve, connect: Callable[..., Cluster]) -> None:
    said = 'localmodelnamespacecaches is forbidden: User "ada" cannot list resource "localmodelnamespacecaches" in API group "serving.kserve.io" in the namespace "llm"'  # noqa: E501 - as the API server says it
    hidden = status(403, said, "Forbidden")
    found = read_model_caches(connect(serve(script(LISTED, Answer(200, described("pvcRef")), hidden))), "llm")
    assert found.into_claims is True
    assert isinstance(found.caches, Unknown)
    dark = read_model_caches(connect(serve(script(LISTED, status(403, "no", "Forbidden")))), "llm")
    assert isinstance(dark.into_claims, Unknown)
    assert "HTTP 403" in dark.into_claims.why
    empty = read_model_caches(connect(serve(script(LISTED, Answer(200, {})))), "llm")
    assert isinstance(empty.into_claims, Unknown)
