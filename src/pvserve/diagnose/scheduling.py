"""Why a pod has no node, or cannot have its volume there.

Owns the reading of the scheduler's and the attach controller's words. Must not look into containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pvserve.diagnose import pods as looking
from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import conditions, events_of, lasted, seen, text, when, with_reason
from pvserve.diagnose.values import Cause, Many, PodEvidence, Seen, Words
from pvserve.facts import Object, Unknown, known, labels, name

# A cluster autoscaler looks every 10 s and says TriggeredScaleUp (Karpenter: Nominated) well within this time;
# without such an event nobody is about to add a node. A pod that is leaving has left by then, too (30 s of grace).
PATIENCE_SECONDS = 60.0
HELD_SECONDS = 10.0  # an old pod that goes by itself is marked as going by then
SCALING = ("TriggeredScaleUp", "Nominated")

_RWOP = "ReadWriteOncePod access mode"
_INSUFFICIENT = re.compile(r"Insufficient ([\w./-]+[\w])")
_TAINT = re.compile(r"untolerated taint(?:\(s\))? \{([^}]*)\}|had untolerated taint(?:\(s\))?")
_NO_MATCH = re.compile(r"didn't match Pod's node affinity|node affinity/selector|node selector")
# The second since Kubernetes 1.34.
_ELSEWHERE = ("volume node affinity conflict", "didn't match PersistentVolume's node affinity")
_NO_VOLUME = ("didn't find available persistent volumes", "not enough free storage", "no available persistent volumes")


def scheduling_causes(evidence: PodEvidence, pods: tuple[Object, ...]) -> Iterator[Cause]:
    """Why those of `pods` that wait have no node, or no volume on it."""
    for pod in pods:
        if looking.phase(pod) != "Pending" or looking.going(pod):
            continue
        unscheduled = conditions(pod).get("PodScheduled", {})
        if not looking.node(pod) and unscheduled.get("status") == "False":
            yield from _unscheduled(evidence, pod)
        yield from _multi_attach(evidence, pod)


def _unscheduled(evidence: PodEvidence, pod: Object) -> Iterator[Cause]:
    condition = conditions(pod)["PodScheduled"]
    since, said = str(condition.get("lastTransitionTime") or ""), str(condition.get("message") or "")
    events = events_of(evidence, "Pod", pod)
    told = with_reason(events, "FailedScheduling")
    observed = seen(told[-1]) if told else Seen(f"Pod {name(pod)}", f"{condition.get('reason')}: {said}", since)
    said = said or (text(told[-1]) if told else "")
    patient = not with_reason(events, *SCALING) and lasted(since, evidence, PATIENCE_SECONDS)
    if _RWOP in said:
        yield held(evidence, pod, observed, since)
    elif condition.get("reason") == "SchedulingGated":
        gates = ", ".join(str(gate.get("name")) for gate in pod["spec"].get("schedulingGates") or ())
        yield cause("Gated", observed, gates=gates or "unknown", **looking.words(evidence, pod))
    elif "unbound immediate PersistentVolumeClaims" not in said:
        yield from _by_words(evidence, pod, said, observed, patient)


def _by_words(evidence: PodEvidence, pod: Object, said: str, observed: Seen, hopeless: bool) -> Iterator[Cause]:
    """A message counts nodes by the first reason that ruled each out; those that came furthest are the ones to mend.

    The order is that of the scheduler's filters: taints, node affinity, resources, volumes
    (kubernetes pkg/scheduler/apis/config/v1/default_plugins.go).
    """
    words = looking.words(evidence, pod)
    gone = re.search(r'persistentvolumeclaim "([^"]+)" (not found|is being deleted)', said)
    short = dict.fromkeys(_INSUFFICIENT.findall(said))
    if gone:
        code = "ClaimMissing" if gone[2] == "not found" else "ClaimTerminating"
        yield cause(code, observed, hopeless=True, claim=gone[1], volume="VOLUME", **words)
    elif any(phrase in said for phrase in _ELSEWHERE):
        yield _elsewhere(evidence, pod, observed, hopeless)
    elif any(phrase in said for phrase in _NO_VOLUME):
        yield cause("NoVolumeToBind", observed, hopeless=hopeless, **words)
    elif short:
        for resource in short:
            code = "NoGpu" if "/" in resource else "NoRoom"
            yield cause(code, observed, hopeless=hopeless, resource=resource, wanted=_asked(pod, resource), **words)
    elif _NO_MATCH.search(said) and not (_TAINT.search(said) and _matches(evidence.nodes, pod)):
        yield cause("NoMatchingNode", observed, hopeless=hopeless, wanted=_selector(pod), **words)
    elif _TAINT.search(said):
        yield cause("Untolerated", observed, hopeless=hopeless, taint=_taint(said, pod, evidence.nodes), **words)
    else:
        yield cause("Unschedulable", observed, hopeless=hopeless, **words)


def _matches(nodes: Many, pod: Object) -> bool:
    """Whether some node has the labels that the pod selects: then its taint is what rules it out."""
    return any(_selected(item, pod) for item in known(nodes, ()))


def _selected(node: Object, pod: Object) -> bool:
    return bool((pod["spec"].get("nodeSelector") or {}).items() <= labels(node).items())


def _asked(pod: Object, resource: str) -> str:
    asked = [
        str(value)
        for container in pod["spec"].get("containers") or ()
        for value in [((container.get("resources") or {}).get("requests") or {}).get(resource)]
        if value is not None
    ]
    return " + ".join(asked) or "none by itself"


def _selector(pod: Object) -> str:
    selector = pod["spec"].get("nodeSelector") or {}
    return ", ".join(f"{key}={value}" for key, value in sorted(selector.items())) or "its node affinity"


def _taint(said: str, pod: Object, nodes: Many) -> str:
    """The taints that the message names; else those of the nodes that the pod selects, where they may be read."""
    named = [match[1] for match in _TAINT.finditer(said) if match[1]]
    found = {
        f"{taint.get('key')}={taint.get('value', '')}:{taint.get('effect')}"
        for item in known(nodes, ())
        if _selected(item, pod)
        for taint in item["spec"].get("taints") or ()
    }
    return ", ".join(dict.fromkeys(named)) or ", ".join(sorted(found)) or "in a way that could not be read"


def _elsewhere(evidence: PodEvidence, pod: Object, observed: Seen, hopeless: bool) -> Cause:
    """Where the bound volume may be used, from its node affinity."""
    found = "", "", "its node affinity could not be read"
    for claim in looking.claim_names(pod):
        volume = evidence.claims[claim].volume if claim in evidence.claims else None
        if isinstance(volume, dict) and volume["spec"].get("nodeAffinity"):
            found = claim, name(volume), _terms(volume)
            break
    claim, volume_name, where = found
    words = looking.words(evidence, pod)
    claim = claim or next(iter(looking.claim_names(pod)), "CLAIM")
    return cause(
        "VolumeElsewhere",
        observed,
        hopeless=hopeless,
        claim=claim,
        volume=volume_name or "VOLUME",
        where=where,
        **words,
    )


def _terms(volume: Object) -> str:
    terms = (volume["spec"]["nodeAffinity"].get("required") or {}).get("nodeSelectorTerms") or ()
    return " or ".join(
        " and ".join(
            f"{e.get('key')} {e.get('operator')} {','.join(e.get('values') or ())}"
            for e in term.get("matchExpressions") or ()
        )
        for term in terms
    )


def _multi_attach(evidence: PodEvidence, pod: Object) -> Iterator[Cause]:
    told = with_reason(events_of(evidence, "Pod", pod), "FailedAttachVolume")
    if told and "Multi-Attach" in text(told[-1]):
        yield held(evidence, pod, seen(told[-1]), str(told[0].get("firstTimestamp") or when(told[0])))


def held(evidence: PodEvidence, pod: Object, observed: Seen, since: str) -> Cause:
    """Who has the claim; hopeless while the holder stays."""
    claim, holders = _holders(evidence, pod)
    mode = _mode(evidence, claim)
    words: Words = {"claim": claim, "mode": mode, **looking.words(evidence, pod)}
    if not holders:
        unknown = isinstance(evidence.neighbours, Unknown)
        holder = "a pod that could not be read" if unknown else "a pod that is gone by now"
        return cause("ClaimHeld", observed, holder=holder, holder_pod="POD", holder_service="SERVICE", **words)
    first = next((item for item in holders if not looking.going(item)), holders[0])
    where = Seen(f"Pod {name(first)}", f"mounts {claim} on node {looking.node(first)}, phase {looking.phase(first)}")
    stays = not looking.going(first) and lasted(since, evidence, HELD_SECONDS)
    holder = f"Pod {name(first)} on node {looking.node(first)}"
    theirs, ours = (labels(item).get(looking.SERVICE_LABEL, "") for item in (first, pod))
    code = "ClaimHeldByOldPod" if ours and ours == theirs else "ClaimHeld"
    words |= {"holder": holder, "holder_pod": name(first), "holder_service": theirs or "SERVICE"}
    return cause(code, observed, where, hopeless=stays, **words)


def _holders(evidence: PodEvidence, pod: Object) -> tuple[str, tuple[Object, ...]]:
    """The claim that is held, and the pods that have it: of all of this pod's claims the first that is."""
    others = (*known(evidence.pods, ()), *known(evidence.neighbours, ()))
    claims = looking.claim_names(pod)
    for claim in claims:
        holders = tuple(
            item
            for item in {name(item): item for item in others}.values()
            if claim in looking.claim_names(item)
            and name(item) != name(pod)
            and looking.node(item)
            and looking.phase(item) not in looking.ENDED
        )
        if holders:
            return claim, holders
    return next(iter(claims), "CLAIM"), ()


def _mode(evidence: PodEvidence, claim: str) -> str:
    found = evidence.claims[claim].object if claim in evidence.claims else None
    modes = found["spec"].get("accessModes") or () if isinstance(found, dict) else ()
    return ", ".join(modes) or "its access mode"
