"""Which objects are of the service's present generation, and whether they are rolled out.

Owns the telling of old from new. Must not know what is wrong with either.

KServe gives no sign that it has seen a change of the service: its status.observedGeneration is that of the Deployment
(kserve pkg/apis/serving/v1beta1/inference_service_status.go PropagateRawStatus), which an autoscaler alone can raise.
So: the Deployment must carry the service's source, be rolled out, and the last change must be a moment old.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvserve.diagnose.occurrences import conditions, seconds_between
from pvserve.diagnose.values import Evidence
from pvserve.facts import Object, annotations_of, known, labels, name
from pvserve.plan.edit_service import storage_of
from pvserve.plan.llm_service import is_llm, llm_uri
from pvserve.spec.place import SCHEME

SETTLE_SECONDS = 3.0  # KServe reconciles a change within milliseconds when idle; a busy one needs a moment
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"


def is_ready(evidence: Evidence) -> bool:
    """Whether the service serves what its spec says now."""
    service = _service(evidence)
    if service is None or conditions(service).get("Ready", {}).get("status") != "True":
        return False
    return is_fresh(evidence) and all(rolled_out(item) for item in known(evidence.deployments, ()))


def is_fresh(evidence: Evidence) -> bool:
    """Whether the Deployments and the status are of the service's present spec, as far as it can be told."""
    service = _service(evidence)
    return service is not None and _settled(evidence, service) and not _other_source(evidence, service)


def _service(evidence: Evidence) -> Object | None:
    return evidence.service if isinstance(evidence.service, dict) else None


def _settled(evidence: Evidence, service: Object) -> bool:
    written = spec_written(service)
    age = seconds_between(written, evidence.now)
    if age is None or age >= SETTLE_SECONDS:
        return True
    return any(_touched(item) > written for item in known(evidence.deployments, ()))


def spec_written(service: Object) -> str:
    """When somebody last changed the service's spec or annotations (RFC 3339), empty where nobody says."""
    return max((str(entry.get("time") or "") for entry in _entries(service) if _of_spec(entry)), default="")


def _entries(obj: Object) -> Iterator[dict[str, Any]]:
    yield from (entry for entry in obj["metadata"].get("managedFields") or () if not entry.get("subresource"))


def _of_spec(entry: dict[str, Any]) -> bool:
    fields = entry.get("fieldsV1") or {}
    return "f:spec" in fields or "f:annotations" in (fields.get("f:metadata") or {})


def _touched(obj: Object) -> str:
    return max((str(entry.get("time") or "") for entry in _entries(obj)), default="")


def _other_source(evidence: Evidence, service: Object) -> bool:
    """Whether a Deployment still has another source than the service names; one that says nothing may be right."""
    if is_llm(service):
        return _other_claim(evidence, llm_uri(service))
    storage = storage_of(service)
    if storage.listed:
        return storage.listed.moved and _other_claim(evidence, storage.uri)
    model = (service["spec"].get("predictor") or {}).get("model") or {}
    wanted = str(model.get("storageUri") or "")
    has = [annotations_of(item).get(SOURCE, "") for item in known(evidence.deployments, ()) if _predictor(item)]
    return bool(wanted) and any(has) and wanted not in has


def _other_claim(evidence: Evidence, uri: str) -> bool:
    """Whether no Deployment mounts the place that the service names; other sources leave no trace."""
    if not uri.startswith(SCHEME):
        return False
    claim, _, path = uri.removeprefix(SCHEME).partition("/")
    made = [item["spec"]["template"]["spec"] for item in known(evidence.deployments, ())]
    return bool(made) and not any(_mounts(spec, claim, path) for spec in made)


def _mounts(spec: Object, claim: str, path: str) -> bool:
    sources = {item["name"]: item.get("persistentVolumeClaim") or {} for item in spec.get("volumes") or ()}
    mounts = [mount for item in spec["containers"] for mount in item.get("volumeMounts") or ()]
    return any(
        sources.get(mount["name"], {}).get("claimName") == claim and (mount.get("subPath") or "") == path
        for mount in mounts
    )


def _predictor(deployment: Object) -> bool:
    return labels(deployment).get("component", "predictor") == "predictor"


def rolled_out(deployment: Object) -> bool:
    """As `kubectl rollout status` has it: all replicas updated and available, no old one left."""
    status: dict[str, Any] = deployment.get("status") or {}
    wanted = int(deployment["spec"].get("replicas", 1))
    updated = int(status.get("updatedReplicas") or 0)
    return (
        int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
        and updated >= wanted
        and int(status.get("replicas") or 0) <= updated
        and int(status.get("availableReplicas") or 0) >= updated
    )


def current_pods(evidence: Evidence) -> tuple[Object, ...]:
    """The pods of each Deployment's newest ReplicaSet; all pods where ReplicaSets cannot be told."""
    pods = known(evidence.pods, ())
    newest: dict[str, tuple[int, str]] = {}
    for item in known(evidence.replica_sets, ()):
        owner = owner_name(item)
        revision = int(annotations_of(item).get(REVISION) or 0)
        newest[owner] = max(newest.get(owner, (0, "")), (revision, labels(item).get(HASH, "")))
    hashes = {value for _, value in newest.values()}
    return tuple(pod for pod in pods if not hashes or labels(pod).get(HASH, "") in {*hashes, ""})


def current_replica_sets(evidence: Evidence) -> tuple[Object, ...]:
    """The newest ReplicaSet of each Deployment."""
    newest: dict[str, Object] = {}
    for item in known(evidence.replica_sets, ()):
        owner = owner_name(item)
        if owner not in newest or _revision(item) > _revision(newest[owner]):
            newest[owner] = item
    return tuple(newest.values())


def _revision(obj: Object) -> int:
    return int(annotations_of(obj).get(REVISION) or 0)


def owner_name(obj: Object) -> str:
    """The name of the object's controller, its own where it has none."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((str(owner["name"]) for owner in owners if owner.get("controller")), name(obj))
