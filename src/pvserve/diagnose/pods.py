"""What a pod object says about itself.

Owns the few ways to look into one. Must not decide what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pvserve.diagnose.occurrences import conditions
from pvserve.diagnose.values import Evidence, PodEvidence, Words
from pvserve.facts import Object, labels, name
from pvserve.spec.place import SCHEME

ENDED = ("Succeeded", "Failed")
SERVICE_LABEL = "serving.kserve.io/inferenceservice"


@dataclass(frozen=True)
class Container:
    """One container of a pod with its status; `init` for those that run before the others."""

    pod: Object
    name: str
    spec: Object
    status: Object
    init: bool

    @property
    def subject(self) -> str:
        """In words, for evidence."""
        return f"Pod {name(self.pod)} container {self.name}"

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return int(self.status.get("restartCount") or 0)

    def state(self, kind: str) -> dict[str, Any] | None:
        """`state.waiting`, `.running` or `.terminated`, where that is the state."""
        found: dict[str, Any] | None = (self.status.get("state") or {}).get(kind)
        return found

    @property
    def ended(self) -> dict[str, Any] | None:
        """How it ended last, now or before its present start; None where it never did."""
        found: dict[str, Any] | None = self.state("terminated") or (self.status.get("lastState") or {}).get(
            "terminated"
        )
        return found


def containers(pod: Object) -> Iterator[Container]:
    """Init containers first; those that have no status yet have an empty one."""
    status: dict[str, Any] = pod.get("status") or {}
    for spec_field, status_field, init in (
        ("initContainers", "initContainerStatuses", True),
        ("containers", "containerStatuses", False),
    ):
        by_name = {item["name"]: item for item in status.get(status_field) or ()}
        for spec in pod["spec"].get(spec_field) or ():
            yield Container(pod, str(spec["name"]), spec, by_name.get(spec["name"]) or {}, init)


def phase(pod: Object) -> str:
    """`status.phase`, Pending where there is none yet."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def going(pod: Object) -> bool:
    """Whether it is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def ready(pod: Object) -> bool:
    """Whether it takes requests."""
    return conditions(pod).get("Ready", {}).get("status") == "True"


def node(pod: Object) -> str:
    """Where it runs, empty before it is scheduled."""
    return str(pod["spec"].get("nodeName") or "")


def claim_names(pod: Object) -> tuple[str, ...]:
    """The claims that it mounts."""
    volumes = pod["spec"].get("volumes") or ()
    sources = (volume.get("persistentVolumeClaim") or {} for volume in volumes)
    return tuple(dict.fromkeys(str(source["claimName"]) for source in sources if source.get("claimName")))


def service_claims(service: Object) -> tuple[str, ...]:
    """The claims that a service names by pvc://, whether it has pods or not."""
    predictor = service["spec"].get("predictor") or {}
    model = predictor.get("model") or {}
    own = service["spec"].get("model") or {}  # of an LLMInferenceService
    listed = (*((own.get("lora") or {}).get("adapters") or ()), *(predictor.get("storageUris") or ()))
    uris = [model.get("storageUri"), own.get("uri"), *(item.get("uri") for item in listed)]
    for container in predictor.get("containers") or ():
        uris += [item.get("value") for item in container.get("env") or () if item.get("name") == "STORAGE_URI"]
    places = (str(uri).removeprefix(SCHEME) for uri in uris if str(uri).startswith(SCHEME))
    return tuple(dict.fromkeys(place.split("/")[0] for place in places))


def claim_mount(container: Container) -> tuple[str, str]:
    """(claim, path on it) of the container's first mount of a claim, words in capitals where there is none."""
    volumes = container.pod["spec"].get("volumes") or ()
    of_claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")}
    for mount in container.spec.get("volumeMounts") or ():
        if mount["name"] in of_claims:
            return str(of_claims[mount["name"]]), str(mount.get("subPath") or "")
    return next(iter(claim_names(container.pod)), "CLAIM"), "PATH"


def words(evidence: PodEvidence, pod: Object) -> Words:
    """What every finding about a pod names."""
    service = evidence.name if isinstance(evidence, Evidence) else labels(pod).get(SERVICE_LABEL, "SERVICE")
    return {"pod": name(pod), "namespace": evidence.namespace, "node": node(pod) or "NODE", "service": service}
