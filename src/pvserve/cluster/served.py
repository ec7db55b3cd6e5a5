"""Services of either kind by name, and the labels of what KServe makes for them.

Owns which kind a name means. Must not decide anything about a service.
Sources: kserve pkg/constants (labels), pkg/controller/v1alpha2/llmisvc/workload.go (GetWorkloadLabelSelector).
"""

from __future__ import annotations

from pvserve.cluster.client import Cluster
from pvserve.facts import Object, Right, Unknown, namespace
from pvserve.facts import name as name_of
from pvserve.plan.llm_service import LLM_API, LLM_KIND, is_llm
from pvserve.plan.model_cache import API as CACHE_API
from pvserve.plan.model_cache import KIND as CACHE_KIND

SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")
LLM_SERVICE = (LLM_API, LLM_KIND)
MODEL_CACHE = (CACHE_API, CACHE_KIND)
# Kinds that not every KServe has, by their resources.
PERHAPS = {"llminferenceservices": LLM_SERVICE, "localmodelnamespacecaches": MODEL_CACHE}
Found = Object | Unknown | None


def find_service(cluster: Cluster, name: str, where: str) -> Found:
    """The InferenceService, else the LLMInferenceService of this name; Unknown where one of them may not be read."""
    found = cluster.find(*SERVICE, name, where)
    return find_llm(cluster, name, where) if found is None else found


def find_llm(cluster: Cluster, name: str, where: str) -> Found:
    """The LLMInferenceService; none where the cluster does not have the kind."""
    found = cluster.find(*LLM_SERVICE, name, where)
    return None if isinstance(found, Unknown) and found.cause == "no-such-api" else found


def get_service(cluster: Cluster, name: str) -> Object:
    """As `find_service`. Raises NotFound, in the words of the usual kind, where there is none; NotAllowed."""
    usual = cluster.find(*SERVICE, name, cluster.namespace)
    if isinstance(usual, dict):
        return usual
    other = find_llm(cluster, name, cluster.namespace) if usual is None else None
    kind = SERVICE if other is None else LLM_SERVICE
    return other if isinstance(other, dict) else cluster.get(*kind, name, cluster.namespace)


def all_services(cluster: Cluster) -> tuple[Object, ...]:
    """All of the cluster's namespace, of both kinds. Raises NotAllowed where the usual kind may not be listed."""
    llm = cluster.find_all(*LLM_SERVICE, cluster.namespace)
    return (*cluster.list(*SERVICE, cluster.namespace), *(() if isinstance(llm, Unknown) else llm))


def allowed(cluster: Cluster, right: Right) -> bool | Unknown:
    """As `cluster.can`; what concerns a kind that the cluster does not have needs no right."""
    answer = cluster.can(right)
    if answer is False and right.resource in PERHAPS:
        found = cluster.find_all(*PERHAPS[right.resource], right.namespace)
        return isinstance(found, Unknown) and found.cause == "no-such-api"
    return answer


def workload_selector(service: Object) -> str:
    """Selects the Deployments and pods that serve."""
    if is_llm(service):
        return llm_selector(name_of(service)) + ",kserve.io/component=workload"
    return f"serving.kserve.io/inferenceservice={name_of(service)}"


def llm_selector(name: str) -> str:
    """Selects all that KServe makes of an LLMInferenceService."""
    return f"app.kubernetes.io/part-of=llminferenceservice,app.kubernetes.io/name={name}"


def network_service(cluster: Cluster, service: Object) -> Object | None:
    """The Kubernetes Service before its pods: NAME-predictor (Standard mode), or NAME-kserve-workload-svc."""
    suffix = "kserve-workload-svc" if is_llm(service) else "predictor"
    found = cluster.find("v1", "Service", f"{name_of(service)}-{suffix}", namespace(service))
    return None if found is None or isinstance(found, Unknown) else found
