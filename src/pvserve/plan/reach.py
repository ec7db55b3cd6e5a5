"""Whether the pods that load and serve can be where the claim's volume can be mounted.

Owns this refusal: what the scheduler and the attach controller would say only after everything was made. Pure.
Sources: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#node-affinity and #access-modes
"""

from __future__ import annotations

from collections.abc import Sequence

from pvserve.facts import ClaimFacts, Facts, Holder, Object, known, name
from pvserve.plan.claim import access_modes, is_bound
from pvserve.plan.part import Part, refused
from pvserve.plan.placement import Placement, admits, excluded, fits, placement, term_words, values_of

HOSTNAME = "kubernetes.io/hostname"
SHARED = {"ReadWriteMany", "ReadOnlyMany"}


def reach_part(facts: Facts, storage_class: Object | None) -> Part:
    """The refusal, where no node can be both; `storage_class` is that of a claim without a volume, where it is known.

    Only what cannot change by itself refuses: a node that is named and its labels and taints, or two values for one
    label. That no node fits today may be mended by an autoscaler.
    """
    where, claim = placement(facts), facts.claim
    return _held(claim, where) + _elsewhere(claim, where, storage_class)


def holder_of(claim: ClaimFacts) -> Holder | None:
    """The pod, not one of pvserve's own, whose node has the claim, where no other node can have it meanwhile."""
    if not isinstance(claim.object, dict) or set(access_modes(claim.object)) & SHARED:
        return None
    return next((item for item in known(claim.holders, ()) if item.node and not item.made_by_pvserve), None)


def volume_terms(claim: ClaimFacts) -> tuple[Object, ...]:
    """From which nodes the bound volume can be mounted, () for all or where that is not known."""
    if not isinstance(claim.volume, dict):
        return ()
    required = (claim.volume["spec"].get("nodeAffinity") or {}).get("required") or {}
    return tuple(required.get("nodeSelectorTerms") or ())


def class_terms(storage_class: Object) -> tuple[Object, ...]:
    """Where volumes of the class are made, as node selector terms."""
    return tuple(
        {"matchExpressions": [{**e, "operator": "In"} for e in term.get("matchLabelExpressions") or ()]}
        for term in storage_class.get("allowedTopologies") or ()
    )


def hosts_of(claim: ClaimFacts) -> tuple[str, ...]:
    """The nodes, by the label with their host's name, of a volume that lies on nodes by name, as a local one."""
    return values_of(volume_terms(claim), HOSTNAME)


def _held(claim: ClaimFacts, where: Placement) -> Part:
    holder = holder_of(claim)
    node = next((item for item in known(claim.nodes, ()) if holder and name(item) == holder.node), None)
    if holder is None or node is None or admits(node, where):
        return Part()
    by = f" of {holder.controller}" if holder.controller else ""
    return refused(
        "ClaimHeld",
        f"claim {claim.name} can be mounted by one node at a time and is held by pod {holder.pod}{by} on node "
        f"{holder.node}, where the pods of this plan cannot run ({_asked(where, node)})",
        "stop what runs in that pod, then run the same command again",
        "or name another claim with --claim",
    )


def _elsewhere(claim: ClaimFacts, where: Placement, storage_class: Object | None) -> Part:
    bound = isinstance(claim.object, dict) and is_bound(claim.object)
    terms = volume_terms(claim) if bound else class_terms(storage_class or {})
    if not terms:
        return Part()
    nodes = [node for node in known(claim.nodes, ()) if any(fits(node, term) for term in terms)]
    if not excluded(where, terms) and (not bound or not _only_these(claim, nodes) or _any(nodes, where)):
        return Part()
    what = f"the volume of claim {claim.name}" if bound else f"a volume of class {name(storage_class or {})}"
    lies = f"can only be mounted where {term_words(terms)}"
    return refused(
        "VolumeElsewhere",
        f"{what} {lies}, and the pods of this plan run only {_asked(where, *nodes)}",
        "kubectl get nodes -L topology.kubernetes.io/zone",
        "name a claim there with --claim, or a class with --storage-class"
        if not bound
        else "load to another claim with --claim, or give the service the selector and tolerations of a node there",
    )


def _only_these(claim: ClaimFacts, nodes: Sequence[Object]) -> bool:
    """Whether the volume lies on nodes by name, and all of them were read."""
    hosts = hosts_of(claim)
    return bool(hosts) and len(nodes) == len(hosts)


def _any(nodes: Sequence[Object], where: Placement) -> bool:
    return any(admits(node, where) for node in nodes)


def _asked(where: Placement, *nodes: Object) -> str:
    """What the pods ask for, or the taint that keeps them off."""
    untainted = [{**node, "spec": {}} for node in nodes]
    if nodes and any(admits(node, where) for node in untainted):
        taints = {str(taint.get("key")) for node in nodes for taint in node["spec"].get("taints") or ()}
        return f"where they tolerate the taints, and not {', '.join(sorted(taints))}"
    return f"where {where.words}"


def apart(claim: ClaimFacts, source: ClaimFacts) -> Part:
    """The refusal of a copy between two volumes that lie on nodes by name, and share none."""
    here, there = hosts_of(claim), hosts_of(source)
    if not here or not there or set(here) & set(there):
        return Part()
    return refused(
        "ClaimsApart",
        f"the volume of claim {claim.name} lies on node {', '.join(here)} and that of claim {source.name} on node "
        f"{', '.join(there)}: no pod can mount both",
        f"name a claim on node {there[0]}, or load the model's files from where they came",
    )
