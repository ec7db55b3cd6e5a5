"""What the SCC `restricted-v2` does to a pod: sets what is not set, refuses what is set otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

from bed.kserve_emulator.names import Object, annotations_of

UID_RANGE = "openshift.io/sa.scc.uid-range"
GROUPS = "openshift.io/sa.scc.supplemental-groups"
SCC, NAME = "openshift.io/scc", "restricted-v2"
RUNTIME_DEFAULT = "RuntimeDefault"
VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret")
HOST = {"hostPID": "Host PID", "hostNetwork": "Host network", "hostIPC": "Host IPC"}
ADDABLE = ("NET_BIND_SERVICE",)


class ConstraintError(Exception):
    """The pod does not fit; the text lists every reason as OpenShift does."""


@dataclass(frozen=True)
class Range:
    """The ids of a namespace; `group` is the only fsGroup it may use."""

    first: int
    last: int
    group: int


def range_of(namespace: Object) -> Range | None:
    """The ids that the namespace's annotations give it; None for a namespace without.

    Raises:
        ConstraintError: an annotation cannot be read.
    """
    found = annotations_of(namespace)
    if UID_RANGE not in found:
        return None
    first, last = _block(found[UID_RANGE])
    group, _ = _block(found.get(GROUPS, found[UID_RANGE]).partition(",")[0])
    return Range(first, last, group)


def _block(text: str) -> tuple[int, int]:
    """START/SIZE or START-END."""
    start, mark, rest = text.partition("/") if "/" in text else text.partition("-")
    try:
        first = int(start)
        return first, first + int(rest) - 1 if mark == "/" else int(rest)
    except ValueError:
        raise ConstraintError(f"the namespace's annotation {text!r} is neither START/SIZE nor START-END") from None


def constrained(pod: Object, ids: Range) -> Object:
    """The pod as the SCC lets it in; the one given is not changed.

    Raises:
        ConstraintError: the pod asks for what the SCC does not allow.
    """
    result = deepcopy(pod)
    spec = result["spec"]
    security = spec.setdefault("securityContext", {})
    security.setdefault("fsGroup", ids.group)
    security.setdefault("seccompProfile", {"type": RUNTIME_DEFAULT})
    for _, container in _containers(spec):
        _fill(container, security, ids)
    problems = [
        *_pod_problems(spec, ids),
        *(text for item in _containers(spec) for text in _problems(*item, spec, ids)),
    ]
    if problems:
        listed = ", ".join(f"provider {NAME}: {problem}" for problem in problems)
        raise ConstraintError(f"unable to validate against any security context constraint: [{listed}]")
    result["metadata"].setdefault("annotations", {})[SCC] = NAME
    return result


def _containers(spec: Object) -> Iterator[tuple[str, Object]]:
    """Each container with its path, as OpenShift writes it."""
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            yield f".{kind}[{index}]", container


def _fill(container: Object, pod: Object, ids: Range) -> None:
    own = container.setdefault("securityContext", {})
    if own.get("runAsUser", pod.get("runAsUser")) is None:
        own["runAsUser"] = ids.first
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is None and own.get("runAsUser", pod.get("runAsUser")):
        own["runAsNonRoot"] = True
    if not own.get("privileged"):
        own.setdefault("allowPrivilegeEscalation", False)
    dropped = own.setdefault("capabilities", {}).setdefault("drop", [])
    if "ALL" not in dropped:
        dropped.append("ALL")


def _pod_problems(spec: Object, ids: Range) -> Iterator[str]:
    security = spec["securityContext"]
    for field, words in HOST.items():
        if spec.get(field):
            yield f".spec.securityContext.{field}: Invalid value: true: {words} is not allowed to be used"
    group = security["fsGroup"]
    if group != ids.group:
        yield f".spec.securityContext.fsGroup: Invalid value: []int64{{{group}}}: {group} is not an allowed group"
    yield from _seccomp_problems(".spec.securityContext", security)
    for index, volume in enumerate(spec.get("volumes") or ()):
        kind = next((key for key in volume if key != "name"), "emptyDir")
        if kind not in VOLUMES:
            yield f'spec.volumes[{index}]: Invalid value: "{kind}": {kind} volumes are not allowed to be used'


def _problems(path: str, container: Object, spec: Object, ids: Range) -> Iterator[str]:
    own = container["securityContext"]
    user = own.get("runAsUser", spec["securityContext"].get("runAsUser"))
    if not ids.first <= user <= ids.last:
        yield f"{path}.runAsUser: Invalid value: {user}: must be in the ranges: [{ids.first}, {ids.last}]"
    if own.get("privileged"):
        yield f"{path}.privileged: Invalid value: true: Privileged containers are not allowed"
    if own.get("allowPrivilegeEscalation"):
        yield (
            f"{path}.allowPrivilegeEscalation: Invalid value: true: "
            "Allowing privilege escalation for containers is not allowed"
        )
    for name in own["capabilities"].get("add") or ():
        if name not in ADDABLE:
            yield f'{path}.capabilities.add: Invalid value: "{name}": capability may not be added'
    yield from _seccomp_problems(path, own)
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield f"{path}.hostPort: Invalid value: {port['hostPort']}: Host ports are not allowed to be used"


def _seccomp_problems(path: str, security: Object) -> Iterator[str]:
    kind = (security.get("seccompProfile") or {}).get("type", RUNTIME_DEFAULT)
    if kind != RUNTIME_DEFAULT:
        yield f'{path}.seccompProfile: Invalid value: "{kind}": must be runtime/default'
