"""The pod through which bytes reach a claim, or are read from it again.

Owns the pod's object and the identity it runs with. Pure: reads nothing, decides nothing about where or when.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pvserve.facts import Object
from pvserve.plan.placement import REQUIRED

CONTAINER = "pvserve"
MOUNT = "/claim"
SOURCE = "/source"
HEARD = "/tmp/pvserve-heard"  # noqa: S108 - in the pod; the agent touches it while its client lives
UNHEARD_SECONDS = 300
MEMORY = "512Mi"  # 256 MiB for the agent, the rest for page cache that the kernel has not yet let go
TMP = "16Mi"
UID_RANGE = "openshift.io/sa.scc.uid-range"
NODE_FIELD = "metadata.name"
SOME_UID = 1000  # as KServe's own storage initializer

# Only what every sh has: no date, no stat. The agent makes the file again every few seconds.
_IDLE = """\
trap 'exit 0' TERM INT
n=0
while [ "$n" -lt "$1" ]; do
  if [ -e "$0" ]; then rm -f "$0"; n=0; fi
  sleep 5 & wait $!
  n=$((n + 5))
done
"""


@dataclass(frozen=True)
class PodIdentity:
    """Who a pod's process is to the file system; None means: as the namespace decides (OpenShift)."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    supplemental: tuple[int, ...] = ()
    selinux: Mapping[str, str] | None = None


def loader_identity(namespace: Object | None, pod: Object | None) -> PodIdentity:
    """Who should write for `pod` (a live pod that serves, or None) in `namespace`.

    OpenShift gives every pod of a namespace its uid, fsGroup and SELinux level (annotation of the namespace, SCC
    restricted-v2) and refuses others. Elsewhere a fresh volume belongs to root, so an fsGroup must be named.
    """
    identity = identity_of(pod)
    if namespace is not None and UID_RANGE in (namespace["metadata"].get("annotations") or {}):
        return identity
    return replace(
        identity,
        run_as_user=identity.run_as_user or SOME_UID,
        fs_group=SOME_UID if identity.fs_group is None else identity.fs_group,
    )


def identity_of(pod: Object | None) -> PodIdentity:
    """The identity of a live pod: its first container's user and group, its fsGroup and SELinux options.

    A pod that runs as root, or as whom its image says, is read for as SOME_UID: `restricted` admits no root, and
    what an unknown uid can read, everybody can.
    """
    if pod is None:
        return PodIdentity()
    whole: Mapping[str, Any] = pod["spec"].get("securityContext") or {}
    own: Mapping[str, Any] = pod["spec"]["containers"][0].get("securityContext") or {}
    return PodIdentity(
        run_as_user=own.get("runAsUser", whole.get("runAsUser")) or SOME_UID,
        run_as_group=own.get("runAsGroup", whole.get("runAsGroup")),
        fs_group=whole.get("fsGroup"),
        supplemental=tuple(whole.get("supplementalGroups") or ()),
        selinux=own.get("seLinuxOptions", whole.get("seLinuxOptions")),
    )


def loader_pod(  # noqa: PLR0913 - one value per thing that a pod is given
    *,
    name_prefix: str,
    namespace: str,
    claim: str,
    image: str,
    read_only: bool,
    identity: PodIdentity,
    node_name: str | None,
    node_selector: Mapping[str, str],
    tolerations: Sequence[Object],
    labels: Mapping[str, str],
    source_claim: str | None = None,
    node_terms: Sequence[Object] = (),
    near: str = "",
) -> dict[str, Any]:
    """A pod with the claim at /claim, admitted under Pod Security `restricted` without a warning.

    It idles, and ends by itself when its client was not heard for UNHEARD_SECONDS. `source_claim` is mounted
    read-only at /source. `node_name` is asked for by affinity, so that the scheduler still decides (a name put into
    the spec bypasses it, and with it WaitForFirstConsumer binding). `node_terms` are those of a required node affinity.
    `near` is one of `labels`: where a pod with the same value runs, this one is put beside it as far as there is room.
    """
    volumes: list[dict[str, Any]] = [
        {"name": "claim", "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TMP}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "claim", "mountPath": MOUNT, "readOnly": read_only},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
    ]
    if source_claim == claim:  # a pod that names one claim twice is not mounted by every driver
        mounts.append({"name": "claim", "mountPath": SOURCE, "readOnly": True})
    elif source_claim is not None:
        volumes.append({"name": "source", "persistentVolumeClaim": {"claimName": source_claim, "readOnly": True}})
        mounts.append({"name": "source", "mountPath": SOURCE, "readOnly": True})
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "securityContext": _pod_security(identity),
        "containers": [_container(image, mounts)],
        "volumes": volumes,
    }
    if node_selector:
        spec["nodeSelector"] = dict(node_selector)
    if tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in tolerations]
    affinity = _node_affinity(node_name, node_terms) | (_beside(near, labels[near]) if near else {})
    if affinity:
        spec["affinity"] = affinity
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name_prefix}-",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "pvserve", "sidecar.istio.io/inject": "false", **labels},
        },
        "spec": spec,
    }


def _container(image: str, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", _IDLE, HEARD, str(UNHEARD_SECONDS)],
        "workingDir": "/tmp",  # noqa: S108 - in the pod; the image's own may be unreadable to a random uid
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108
        "resources": {"requests": {"cpu": "200m", "memory": MEMORY}, "limits": {"memory": MEMORY}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": mounts,
    }


def _pod_security(identity: PodIdentity) -> dict[str, Any]:
    """Restricted; ids only where they are known, since OpenShift gives its own and refuses others."""
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if identity.run_as_user:
        security["runAsUser"] = identity.run_as_user
    if identity.run_as_group is not None:
        security["runAsGroup"] = identity.run_as_group
    if identity.fs_group is not None:
        security["fsGroup"] = identity.fs_group
        security["fsGroupChangePolicy"] = "OnRootMismatch"
    if identity.supplemental:
        security["supplementalGroups"] = list(identity.supplemental)
    if identity.selinux:
        security["seLinuxOptions"] = dict(identity.selinux)
    return security


def without_node(spec: dict[str, Any]) -> None:
    """Takes the node by name out of a pod's spec: it was that of a pod which ran when the plan was made."""
    affinity = spec.pop("affinity", {})
    terms = affinity.pop("nodeAffinity", {}).get(REQUIRED, {}).get("nodeSelectorTerms", ())
    kept = [
        {**term, "matchFields": [field for field in term.get("matchFields") or () if field["key"] != NODE_FIELD]}
        for term in terms
    ]
    kept = [{key: value for key, value in term.items() if value} for term in kept]
    affinity = _node_affinity(None, [term for term in kept if term]) | affinity
    if affinity:
        spec["affinity"] = affinity


def _node_affinity(node: str | None, terms: Sequence[Object]) -> dict[str, Any]:
    named = [{"key": NODE_FIELD, "operator": "In", "values": [node]}] if node else []
    wanted = [{**term, "matchFields": [*(term.get("matchFields") or ()), *named]} for term in terms or ({},)]
    wanted = [{key: value for key, value in term.items() if value} for term in wanted]
    if not any(wanted):
        return {}
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": wanted}}}


def _beside(label: str, value: str) -> dict[str, Any]:
    """On the node of a pod that loads to the same claim already: another node could not mount it meanwhile."""
    term = {"labelSelector": {"matchLabels": {label: value}}, "topologyKey": "kubernetes.io/hostname"}
    preferred = {"weight": 100, "podAffinityTerm": term}
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
