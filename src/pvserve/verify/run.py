"""The proof of a service, or of a place on a claim.

Owns which checks are made and what is read for them. Trusts nothing that apply remembers: reads everything again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_evidence
from pvserve.cluster.served import get_service, network_service, workload_selector
from pvserve.diagnose import judge
from pvserve.events import Listener
from pvserve.facts import Object, Unknown, labels, name, ref
from pvserve.plan.claim import recorded_models
from pvserve.plan.edit_service import storage_of
from pvserve.plan.llm_service import is_llm
from pvserve.spec.place import Place, parse_place
from pvserve.verify.endpoint import Request, check_answer
from pvserve.verify.node import check_node_disk
from pvserve.verify.pods import check_mounts
from pvserve.verify.proof import Check, Proof
from pvserve.verify.volume import check_digests

Level = Literal["full", "quick"]
SETTLE_SECONDS = 10.0  # KServe's condition Ready comes before the end of the rollout that made it so


def verify_service(
    cluster: Cluster,
    service_name: str,
    listen: Listener,
    *,
    level: Level = "full",
    request: Request | None = None,
    manifest_digest: str = "",
) -> Proof:
    """Proves that a service serves its model straight from a claim.

    `level` full re-reads every byte on the volume, quick compares names and sizes. `manifest_digest` is what the
    volume must hold where the caller knows it ("sha256:…" of the source). Raises NotFound if there is no such service.
    """
    service = get_service(cluster, service_name)
    storage = storage_of(service)
    uri = storage.uri
    place = parse_place(uri) if uri.startswith("pvc://") else None
    field = "model.uri" if is_llm(service) else "the mount of the model" if storage.listed else "storageUri"
    subject = ref(service)
    ready = _check_ready(cluster, service_name)
    if place is None:
        words = f"{field} is {uri or 'not set'}"
        from_claim = Check("from-claim", "the service is served from a claim", "failed", words, _convert(service_name))
        return Proof(subject, (from_claim, ready))
    pods = _serving_pods(cluster, service)
    recorded = _recorded(cluster, place)
    known = manifest_digest or str(recorded.get("manifest", ""))
    digests = check_digests(cluster, place, pods, listen, level=level, expected=known)
    return Proof(
        subject,
        (
            Check("from-claim", "the service is served from a claim", "passed", f"{field} is {uri}"),
            ready,
            *check_mounts(pods, place.claim, place.path, storage.directory),
            *digests.checks,
            check_node_disk(cluster, pods, digests.bytes or int(recorded.get("bytes", 0))),
            check_answer(cluster, service, network_service(cluster, service), pods, request),
        ),
    )


def verify_place(cluster: Cluster, uri: str, listen: Listener, *, level: Level = "full") -> Proof:
    """Proves that `pvc://CLAIM/PATH` holds what its manifest says."""
    place = parse_place(uri)
    cluster.get("v1", "PersistentVolumeClaim", place.claim, cluster.namespace)
    holders = tuple(
        pod for pod in cluster.list("v1", "Pod", cluster.namespace) if _alive(pod) and _mounts(pod, place.claim)
    )
    digests = check_digests(
        cluster, place, holders, listen, level=level, expected=str(_recorded(cluster, place).get("manifest", ""))
    )
    return Proof(f"pvc://{place.claim}/{place.path} in namespace {cluster.namespace}", digests.checks)


def _convert(service: str) -> tuple[str, ...]:
    return (f"pvserve deploy MODEL_DIRECTORY --from {service} --name {service}-pvc --claim CLAIM",)


def _check_ready(cluster: Cluster, service_name: str) -> Check:
    """What Ready means, and of which generation, is `diagnose`'s to say."""
    settled = time.monotonic() + SETTLE_SECONDS
    verdict = judge(read_evidence(cluster, cluster.namespace, service_name))
    while not verdict.ready and {line.state for line in verdict.lines} == {"ok", "ongoing"}:
        if time.monotonic() > settled:
            break
        time.sleep(1)
        verdict = judge(read_evidence(cluster, cluster.namespace, service_name))
    seen = "; ".join(f"{line.object}: {line.state} {line.reason}".rstrip() for line in verdict.lines)
    remedy = () if verdict.ready else (f"pvserve doctor {service_name} -n {cluster.namespace}",)
    title = "the service is Ready for its present generation"
    return Check("ready", title, "passed" if verdict.ready else "failed", seen, remedy)


def _serving_pods(cluster: Cluster, service: Object) -> tuple[Object, ...]:
    """Live pods that hold the model, ready ones first."""
    pods = [
        pod
        for pod in cluster.list("v1", "Pod", cluster.namespace, label_selector=workload_selector(service))
        if _alive(pod) and labels(pod).get("component", "predictor") == "predictor"
    ]
    return tuple(sorted(pods, key=lambda pod: (not _ready(pod), name(pod))))


def _alive(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Running", "Pending") and not pod["metadata"].get("deletionTimestamp")


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _mounts(pod: Object, claim: str) -> bool:
    volumes = pod["spec"].get("volumes") or ()
    return any((volume.get("persistentVolumeClaim") or {}).get("claimName") == claim for volume in volumes)


def _recorded(cluster: Cluster, place: Place) -> Mapping[str, Any]:
    """What the load noted on the claim: a record in the API server, apart from the volume; {} where there is none."""
    found = cluster.find("v1", "PersistentVolumeClaim", place.claim, cluster.namespace)
    return {} if isinstance(found, Unknown) else recorded_models(found).get(place.path, {})
