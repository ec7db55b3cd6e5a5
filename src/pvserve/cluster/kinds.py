"""Where the objects of a kind are in the Kubernetes REST API.

Owns the table of the kinds that pvserve handles and the reading of discovery for all others. Pure: sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Resource:
    """One kind as the REST API serves it; `group` is empty for the core API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group, empty for the core API."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of one object, or of all in `namespace` (all namespaces when empty)."""
        parts = [api_path(self.api_version)]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


def api_path(api_version: str) -> str:
    """`/api/v1`, or `/apis/GROUP/VERSION`."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


# Saves one discovery request per kind and run.
_KNOWN = (
    Resource("v1", "ConfigMap", "configmaps"),
    Resource("v1", "Event", "events"),
    Resource("v1", "Namespace", "namespaces", namespaced=False),
    Resource("v1", "Node", "nodes", namespaced=False),
    Resource("v1", "PersistentVolume", "persistentvolumes", namespaced=False),
    Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Resource("v1", "Pod", "pods"),
    Resource("v1", "ResourceQuota", "resourcequotas"),
    Resource("v1", "Secret", "secrets"),
    Resource("v1", "Service", "services"),
    Resource("v1", "ServiceAccount", "serviceaccounts"),
    Resource("apps/v1", "Deployment", "deployments"),
    Resource("apps/v1", "ReplicaSet", "replicasets"),
    Resource("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False),
    Resource("batch/v1", "Job", "jobs"),
    Resource("coordination.k8s.io/v1", "Lease", "leases"),
    Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Resource("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    Resource("serving.kserve.io/v1alpha1", "ClusterServingRuntime", "clusterservingruntimes", namespaced=False),
    Resource("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes"),
    Resource("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices"),
    Resource("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False),
)
KNOWN: Mapping[tuple[str, str], Resource] = {(item.api_version, item.kind): item for item in _KNOWN}


def discovered(api_version: str, kind: str, listed: Mapping[str, Any]) -> Resource | None:
    """The kind as an APIResourceList names it, None where the API does not have it."""
    for item in listed.get("resources") or ():
        if item.get("kind") == kind and "/" not in item["name"]:
            return Resource(api_version, kind, str(item["name"]), bool(item["namespaced"]))
    return None
