"""The load: whether bytes must move, and the pod through which they do.

Owns these decisions. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pvserve.facts import ClaimFacts, Facts, Object, OwnPlace, Unknown, known
from pvserve.plan.claim import access_modes, recorded_models
from pvserve.plan.edit_runtime import serving_image
from pvserve.plan.loader import loader_identity, loader_pod
from pvserve.plan.part import Part, refused, unreadable
from pvserve.plan.placement import placement
from pvserve.plan.reach import SHARED, apart, holder_of
from pvserve.plan.rights import rights_of
from pvserve.plan.source import Source
from pvserve.plan.steps import Load
from pvserve.plan.volume import modes_to_be
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place, overlap

LOADER_LABEL = "pvserve.io/loader"
CLAIM_LABEL = "pvserve.io/claim"  # the same for all loaders of a claim


def load_part(spec: ModelSpec, facts: Facts, source: Source, path: str) -> Part:
    """The load step, or that the model is there."""
    place = Place(spec.claim.name, path)
    digest = source.digest
    claim = facts.claim.object if isinstance(facts.claim.object, dict) else None
    recorded = recorded_models(claim).get(path, {}).get("manifest", "")
    if digest and recorded == digest:
        return Part(unchanged=(f"{place} holds the model: {digest}",))
    if (entangled := entangled_part(facts, place)).refusals:
        return entangled
    if digest and recorded and not spec.loader.replace:
        return refused(
            "PathOccupied",
            f"{place} holds other content: {recorded}, and {spec.model} is {digest}",
            "add --replace: what is there is kept, and pods that serve it keep it until they are restarted",
            "or load to another path with --path",
        )
    image, why = loader_image(spec, facts)
    if not image:
        return refused("NoLoaderImage", f"no image is known for the loader pod: {why}", "name one with --image")
    step = Load(
        "load",
        f"{'copy' if source.place else 'load'} {source.name} to {place}",
        source=source.words,
        claim=spec.claim.name,
        path=path,
        pod=planned_pod(spec, facts, image, _labels(place), source),
        bytes=source.bytes,
        files=source.files,
        fingerprint=source.fingerprint,
        manifest_digest=digest,
        via=spec.loader.via,
        replace=spec.loader.replace,
        include=source.include,
        exclude=source.exclude,
        source_claim=source.place.claim if source.place else "",
        source_path=source.place.path if source.place else "",
        checksum=source.checksum,
        why=why,
        rights=rights_of("load", facts.namespace.name),
    )
    return Part(steps=(step,), notes=(*source.notes, *_copy_note(source)))


def entangled_part(facts: Facts, place: Place) -> Part:
    """The refusal where another model is recorded above or below the path: neither could change alone."""
    claim = facts.claim.object if isinstance(facts.claim.object, dict) else None
    others = [path for path in sorted(recorded_models(claim)) if path != place.path and overlap(path, place.path)]
    if not others:
        return Part()
    models = ", ".join(str(Place(place.claim, path)) for path in others)
    return refused(
        "PathHoldsModels",
        f"{place} and {models} lie one within the other: neither model could change alone",
        "use another path",
        *(f"or first: pvserve rm {Place(place.claim, path)} -n {facts.namespace.name}" for path in others),
    )


def _copy_note(source: Source) -> tuple[str, ...]:
    if source.place is None or source.fingerprint:  # a directory of this machine: said where that was decided
        return ()
    return (f"the loader pod mounts claim {source.place.claim} too and copies there: nothing crosses the network",)


def loader_image(spec: ModelSpec, facts: Facts) -> tuple[str, str]:
    """The first image that fits, and why; "" and what was tried."""
    if spec.loader.image:
        return spec.loader.image, "the loader's image was asked for"
    if not isinstance(facts.origin_runtime, Unknown) and (image := serving_image(facts.origin_runtime)):
        return image, "the loader's image is the runtime's own, which the cluster has"
    image_or_unknown = facts.kserve.storage_initializer_image
    if isinstance(image_or_unknown, Unknown):
        if isinstance(facts.own, OwnPlace) and facts.own.image:
            return facts.own.image, "the loader's image is that of the pod which this runs in, which the cluster has"
        return "", f"no runtime is known, and KServe's own image is not: {image_or_unknown.why}"
    return image_or_unknown, "the loader's image is KServe's storage initializer, which the cluster has"


def _labels(place: Place) -> dict[str, str]:
    return {LOADER_LABEL: place_hash(place)}


def place_hash(place: Place) -> str:
    """What tells the pods of one place from those of others, in a form that a label can have."""
    return _word(str(place))


def _word(text: str) -> str:
    """As a label's value, which is shorter than a name may be."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def planned_pod(
    spec: ModelSpec,
    facts: Facts,
    image: str,
    labels: Mapping[str, str],
    source: Source | None = None,
    *,
    read_only: bool = False,
) -> dict[str, Any]:
    """A pod on the spec's claim: where it can run, and as whom, follows from who serves from there."""
    where = placement(facts)
    pods = known(facts.runtime_pods, ())
    return loader_pod(
        name_prefix="pvserve-reader" if read_only else "pvserve-load",
        namespace=facts.namespace.name,
        claim=spec.claim.name,
        image=image,
        read_only=read_only,
        identity=loader_identity(_object(facts.namespace.object), pods[0] if pods else None),
        node_name=_node(facts, source),
        node_selector=where.selector,
        node_terms=where.terms,
        tolerations=(*where.tolerations, *_beside_own(facts, source)),
        source_claim=source.place.claim if source and source.place else None,
        labels={**labels, CLAIM_LABEL: _word(spec.claim.name)},
        near="" if SHARED & set(modes_to_be(spec, facts)) else CLAIM_LABEL,
    )


def _beside_own(facts: Facts, source: Source | None) -> tuple[Object, ...]:
    """What lets the loader run on the node of the pod whose claim it mounts."""
    return facts.own.tolerations if source and source.place and isinstance(facts.own, OwnPlace) else ()


def _node(facts: Facts, source: Source | None) -> str | None:
    """The node that a ReadWriteOnce claim is mounted on: nobody else can mount it."""
    mounted = source is not None and source.place is not None and facts.source is not None
    return held_on(facts.claim) or (held_on(facts.source) if mounted and facts.source else None)


def held_on(facts: ClaimFacts) -> str | None:
    """The node that the claim is mounted on, where no other can mount it at the same time."""
    holder = holder_of(facts)
    return holder.node if holder else None


def source_part(facts: Facts, source: Source, path: str) -> Part:
    """What stands in the way of mounting the claim that the model lies on; nothing for a directory of this machine."""
    if source.place is None or facts.source is None:
        return Part()
    claim, where = source.place.claim, facts.namespace.name
    if isinstance(facts.source.object, Unknown):
        return unreadable(f"claim {claim}", facts.source.object)
    if facts.source.object is None:
        elsewhere = known(facts.source.elsewhere, ())
        if elsewhere:
            message = (
                f"claim {claim}, which the model should lie on, is in namespace {', '.join(elsewhere)}, not in {where}"
            )
            share = f"share its data with this namespace: pvserve share {claim} --to {where} -n {elsewhere[0]}"
            return refused("ClaimElsewhere", message, share)
        message = f"claim {claim}, which the model should lie on, does not exist in namespace {where}"
        return refused("NoSuchClaim", message, f"kubectl get pvc -n {where}")
    if claim == facts.claim.name and overlap(source.place.path, path):
        message = f"{source.place} and {Place(claim, path)} lie in one another: a copy would hold itself"
        return refused("SourceIsTarget", message, "name another path on the claim, or another claim")
    alone = [holder for holder in known(facts.source.holders, ()) if not holder.made_by_pvserve]
    if access_modes(facts.source.object) == ("ReadWriteOncePod",) and alone and claim != facts.claim.name:
        message = f"claim {claim} admits one pod at a time (ReadWriteOncePod) and is held by pod {alone[0].pod}"
        return refused("ClaimHeld", message, "stop what runs in that pod, then run the same command again")
    here, there = held_on(facts.claim), held_on(facts.source)
    if here and there and here != there:
        return refused(
            "ClaimsApart",
            f"claim {facts.claim.name} is mounted on node {here} and claim {claim} on node {there}, each by one node "
            "at a time: no pod can mount both",
            f"end the pod that mounts claim {claim}, then run the same command again",
        )
    return apart(facts.claim, facts.source)


def _object(found: Object | Unknown | None) -> Object | None:
    return None if isinstance(found, Unknown) else found
