"""What one plan needs to know of a cluster.

Owns the question that `pvserve.cluster.reading` answers with `Facts`. Must not know a client, nor decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvserve.facts.state import Right

# Where KServe's own manifests, Open Data Hub and OpenShift AI keep the ConfigMap inferenceservice-config.
KSERVE_NAMESPACES = ("kserve", "opendatahub", "redhat-ods-applications")


@dataclass(frozen=True)
class FactsQuery:
    """What to read for one plan; an empty name is not asked for.

    `origin` is (namespace, name) of the InferenceService to start from. `origin_runtime` names the ServingRuntime or
    ClusterServingRuntime to start from where there is no `origin`; with one, the runtime that it names is read.
    """

    namespace: str
    claim: str = ""
    source_claim: str = ""  # the claim that the model lies on, where it is to be copied from there
    service: str = ""  # the InferenceService to be
    runtime: str = ""  # the ServingRuntime to be
    origin: tuple[str, str] | None = None
    origin_runtime: str = ""
    rights: tuple[Right, ...] = ()
    kserve_namespaces: tuple[str, ...] = KSERVE_NAMESPACES
    model_caches: bool = False  # whether KServe imports models onto claims itself, and which
