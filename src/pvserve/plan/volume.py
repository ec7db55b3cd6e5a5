"""The claim that is to hold the model: the one that is there, or a new one.

Owns the checks of an existing claim and the choice of class, mode and size of a new one. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pvserve.facts import ClaimFacts, Facts, Holder, Object, Unknown, known, name
from pvserve.facts.objects import ObjectKey
from pvserve.plan.claim import access_modes, is_bound, new_claim
from pvserve.plan.diff import changes
from pvserve.plan.growth import ways_to_grow
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.retain import Keeping, keep_existing, keep_new, lost_copy
from pvserve.plan.rights import rights_of
from pvserve.plan.sizing import access_mode, claim_bytes, claim_size, default_class, fits
from pvserve.plan.source import Source
from pvserve.plan.steps import ApplyObject
from pvserve.plan.trap_table import stop
from pvserve.spec.model import ModelSpec
from pvserve.spec.quantity import parse_quantity, round_up


def claim_part(spec: ModelSpec, facts: Facts, source: Source | None) -> Keeping:
    """Steps before the load (class, claim) and after it (Retain on the volume); no `source`: no bytes are to come."""
    claim = facts.claim
    if isinstance(claim.object, Unknown):
        return Keeping(unreadable(f"claim {claim.name}", claim.object))
    if claim.object is None:
        return _new(spec, facts, source) if source is not None else Keeping(_no_such_claim(spec, facts))
    live = claim.object
    again = _class_again(facts, live) if source is not None else None
    if again is not None:
        claim = replace(claim, storage_class=again.object)
        facts = replace(facts, claim=claim)
    found = _existing(spec, facts.namespace.name, claim, live, source)
    if found.before.refusals or source is None:
        return found
    first = Keeping(Part(steps=(again,)) if again else Part())
    return first + found + keep_existing(spec, facts, live)


def _class_again(facts: Facts, live: Object) -> ApplyObject | None:
    """A copy of a class that another run took away, while a claim of this one waits for it."""
    wanted = str(live["spec"].get("storageClassName") or "")
    if is_bound(live) or not wanted or facts.claim.storage_class is not None:
        return None
    return lost_copy(facts, wanted)


def chosen_class(spec: ModelSpec, facts: Facts) -> Object | None:
    """The class that the claim has or will have, None where that is not known."""
    found = facts.claim.storage_class if facts.claim.object is not None else _class(spec, facts)[0]
    return found if isinstance(found, dict) else None


def _key(spec: ModelSpec, namespace: str) -> ObjectKey:
    return ObjectKey("v1", "PersistentVolumeClaim", namespace, spec.claim.name)


def _no_such_claim(spec: ModelSpec, facts: Facts) -> Part:
    where = facts.namespace.name
    elsewhere = known(facts.claim.elsewhere, ())
    if elsewhere:
        others = ", ".join(elsewhere)
        return stop("ClaimElsewhere", claim=spec.claim.name, others=others, other=elsewhere[0], namespace=where)
    return refused(
        "NoSuchClaim",
        f"claim {spec.claim.name} does not exist in namespace {where}",
        f"kubectl get pvc -n {where}",
        f"or load the model first: pvserve load MODEL_DIRECTORY pvc://{spec.claim.name} -n {where}",
    )


def _existing(spec: ModelSpec, namespace: str, claim: ClaimFacts, live: Object, source: Source | None) -> Keeping:
    bad = _unusable(claim, live, source, namespace, spec.name)
    if bad is not None:
        return Keeping(bad)
    modes = access_modes(live)
    capacity = ((live.get("status") or {}).get("capacity") or live["spec"]["resources"]["requests"])["storage"]
    made = "" if "uid" in live["metadata"] else ", made by a model before this one"
    of = live["spec"].get("storageClassName") or "none"
    words = f"claim {claim.name}: {capacity}, class {of}, {', '.join(modes)}{made}"
    part = Part(unchanged=(words,), notes=tuple(_asked_otherwise(spec, live, modes)))
    return Keeping(part + assume(live, _key(spec, namespace), whole=False))


def _unusable(claim: ClaimFacts, live: Object, source: Source | None, namespace: str, service: str) -> Part | None:
    """Why nothing can be loaded to this claim or served from it."""
    title = f"claim {claim.name}"
    if live["metadata"].get("deletionTimestamp"):
        return refused("ClaimGoing", f"{title} is being deleted", "wait until it is gone, or name another claim")
    if (live.get("status") or {}).get("phase") == "Lost":
        return refused("ClaimLost", f"{title} has lost its volume", f"kubectl describe pvc {claim.name} -n {namespace}")
    if live["spec"].get("volumeMode") == "Block":
        return refused("ClaimIsBlock", f"{title} is a raw block device (volumeMode Block): a model needs a file system")
    if not is_bound(live) and live["spec"].get("storageClassName") and claim.storage_class is None:
        wanted = live["spec"]["storageClassName"]
        return refused(
            "NoSuchClass", f"{title} waits for class {wanted}, which does not exist", "kubectl get storageclass"
        )
    modes = access_modes(live)
    if source is not None and modes == ("ReadOnlyMany",):
        return refused("ClaimReadOnly", f"{title} can only be read (ReadOnlyMany)", "name a claim that can be written")
    foreign = [item for item in known(claim.holders, ()) if item.node and not _ours(item, "" if source else service)]
    if modes == ("ReadWriteOncePod",) and foreign:
        return _held(title, foreign[0])
    return None if source is None else _too_small(claim, live, source, namespace)


def _ours(holder: Holder, service: str) -> bool:
    """A pod of pvserve's own, or of the service that is served from the claim already."""
    return holder.made_by_pvserve or bool(
        service and holder.pod.startswith((f"{service}-predictor", f"{service}-kserve"))
    )


def _held(title: str, holder: Holder) -> Part:
    by = f" of {holder.controller}" if holder.controller else ""
    return refused(
        "ClaimHeld",
        f"{title} admits one pod at a time (ReadWriteOncePod) and is held by pod {holder.pod}{by}"
        + (f" on node {holder.node}" if holder.node else ""),
        "stop what runs in that pod, then run the same command again",
        "or name another claim with --claim",
    )


def _too_small(claim: ClaimFacts, live: Object, source: Source, namespace: str) -> Part | None:
    """Only what can never fit; what else lies on the volume is looked at by the loader, before the first byte."""
    if source.at_most:
        return None
    text = str(((live.get("status") or {}).get("capacity") or {}).get("storage", ""))
    if not text or fits(source.bytes, source.files, parse_quantity(text)):
        return None
    size = round_up(claim_bytes(source.bytes, source.files))
    return refused(
        "ClaimTooSmall",
        f"claim {claim.name} has {text}, and the model has {source.bytes} bytes in {source.files} files: "
        f"{size} would do",
        *ways_to_grow(claim.name, namespace, size, claim.storage_class),
    )


def _asked_otherwise(spec: ModelSpec, live: Object, modes: Sequence[str]) -> list[str]:
    """What was asked for and an existing claim does not have; it keeps what it has."""
    has_class = str(live["spec"].get("storageClassName") or "")
    out = []
    if spec.claim.storage_class and not has_class.startswith(spec.claim.storage_class):
        out.append(f"claim {spec.claim.name} exists in class {has_class or 'none'}: --storage-class changes nothing")
    if spec.claim.access_mode and spec.claim.access_mode not in modes:
        out.append(f"claim {spec.claim.name} exists with {', '.join(modes)}: --access-mode changes nothing")
    return out


def _new(spec: ModelSpec, facts: Facts, source: Source) -> Keeping:
    chosen, why = _class(spec, facts)
    if isinstance(chosen, Part):
        return Keeping(chosen)
    namespace = facts.namespace.name
    keeping = keep_new(spec, facts, chosen)
    if keeping.before.refusals:
        return keeping
    mode, mode_why = _mode(spec, facts, chosen)
    size, content = spec.claim.size, (source.bytes + source.beside[0], source.files + source.beside[1])
    if size and not source.at_most and not fits(*content, parse_quantity(size)):
        needed = claim_size(*content)
        whose = "the bytes of this run's models on it" if source.beside[0] else "the model's bytes"
        message = f"a claim of {size} cannot hold {whose}, {content[0]}: {needed} would do"
        return Keeping(refused("ClaimTooSmall", message, f"--size {needed}, or leave --size out"))
    if source.remote and source.at_most and not source.bytes and not size:
        message = (
            f"nobody can tell how large {source.words} is before it is downloaded, and claim {spec.claim.name} is new"
        )
        return Keeping(refused("SizeUnknown", message, "say how large the claim is to be: --size"))
    others = " of this run's models on it" if source.beside[0] else ""
    size_why = "as asked for" if size else f"{content[0]} bytes{others} and headroom"
    claim = new_claim(spec.claim.name, namespace, keeping.storage_class, mode, size or claim_size(*content))
    step = ApplyObject(
        "claim",
        f"make claim {spec.claim.name}",
        claim,
        changes=changes({}, claim),
        why=f"size: {size_why}; class: {why}; mode: {mode_why}",
        rights=rights_of("load", namespace),
    )
    part = Part(steps=(step,), notes=_elsewhere_note(spec, facts)) + assume(None, _key(spec, namespace), whole=False)
    return Keeping(keeping.before + part, keeping.after, keeping.storage_class)


def _mode(spec: ModelSpec, facts: Facts, storage_class: Object | None) -> tuple[str, str]:
    if spec.claim.access_mode:
        return spec.claim.access_mode, "it was asked for"
    return access_mode(storage_class, known(facts.storage_profiles, ()))


def modes_to_be(spec: ModelSpec, facts: Facts) -> tuple[str, ...]:
    """The access modes of the claim that is there, or of the one that a plan makes."""
    if isinstance(facts.claim.object, dict):
        return access_modes(facts.claim.object)
    chosen, _ = _class(spec, facts)
    return (_mode(spec, facts, None if isinstance(chosen, Part) else chosen)[0],)


def _elsewhere_note(spec: ModelSpec, facts: Facts) -> tuple[str, ...]:
    elsewhere = known(facts.claim.elsewhere, ())
    if not elsewhere:
        return ()
    return (
        f"a claim {spec.claim.name} exists in namespace {', '.join(elsewhere)}; pods can only mount claims of their "
        f"own namespace, so this is a new one, and empty; to read the same data here: pvserve share {spec.claim.name} "
        f"--to {facts.namespace.name} -n {elsewhere[0]}",
    )


def _class(spec: ModelSpec, facts: Facts) -> tuple[Object | Part | None, str]:
    """The class of a new claim and why it; None where the classes may not be read and none was named."""
    wanted, classes = spec.claim.storage_class, facts.storage_classes
    if isinstance(classes, Unknown):
        if wanted:
            return {"metadata": {"name": wanted}}, "as asked for; classes could not be read"
        return None, f"the cluster's default; classes could not be read: {classes.why}"
    names = ", ".join(sorted(name(item) for item in classes)) or "none"
    if wanted:
        found = next((item for item in classes if name(item) == wanted), None)
        missing = refused(
            "NoSuchClass", f"class {wanted} does not exist; there are: {names}", "kubectl get storageclass"
        )
        return (missing if found is None else found), "as asked for"
    default = default_class(classes)
    if default is None:
        message = f"the cluster has no default class; there are: {names}"
        return refused("NoDefaultClass", message, "name one with --storage-class CLASS"), ""
    return default, f"{name(default)} is the cluster's default"
