"""The load: whether bytes must move, and the pod through which they do.

Owns these decisions. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pvserve.facts import Facts, Object, Unknown, known
from pvserve.model import Listing, Manifest, manifest_digest
from pvserve.plan.claim import access_modes, recorded_models
from pvserve.plan.edit_runtime import serving_image
from pvserve.plan.edit_service import placement_of
from pvserve.plan.loader import loader_identity, loader_pod
from pvserve.plan.part import Part, refused
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import Load
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place

LOADER_LABEL = "pvserve.io/loader"


def load_part(spec: ModelSpec, facts: Facts, listing: Listing, content: Manifest | None, path: str) -> Part:
    """The load step, or that the model is there; `content` is what the directory holds, where that is known."""
    place = Place(spec.claim.name, path)
    digest = manifest_digest(content) if content is not None else ""
    claim = facts.claim.object if isinstance(facts.claim.object, dict) else None
    recorded = recorded_models(claim).get(path, {}).get("manifest", "")
    if digest and recorded == digest:
        return Part(unchanged=(f"{place} holds the model: {digest}",))
    if digest and recorded and not spec.loader.replace:
        return refused(
            "PathOccupied",
            f"{place} holds other content: {recorded}, and {spec.model} is {digest}",
            "add --replace: what is there is kept, and pods that serve it keep it until they are restarted",
            "or load to another path with --path",
        )
    image, why = _image(spec, facts)
    if not image:
        return refused("NoLoaderImage", f"no image is known for the loader pod: {why}", "name one with --image")
    step = Load(
        "load",
        f"load {listing.name or listing.root.name} to {place}",
        source=str(listing.root),
        claim=spec.claim.name,
        path=path,
        pod=_pod(spec, facts, image, place),
        bytes=listing.bytes,
        files=len(listing.entries),
        fingerprint=listing.fingerprint,
        manifest_digest=digest,
        via=spec.loader.via,
        replace=spec.loader.replace,
        include=listing.include,
        exclude=listing.exclude,
        why=why,
        rights=rights_of("load", facts.namespace.name),
    )
    return Part(steps=(step,), notes=(*_left_out(listing), *listing.notes))


def _left_out(listing: Listing) -> tuple[str, ...]:
    if not listing.left_out:
        return ()
    shown = ", ".join(listing.left_out[:5]) + (f" and {len(listing.left_out) - 5} more" if listing.left_out[5:] else "")
    return (f"left out of the model directory: {shown}",)


def _image(spec: ModelSpec, facts: Facts) -> tuple[str, str]:
    """The first image that fits, and why; "" and what was tried."""
    if spec.loader.image:
        return spec.loader.image, "the loader's image was asked for"
    if not isinstance(facts.origin_runtime, Unknown) and (image := serving_image(facts.origin_runtime)):
        return image, "the loader's image is the runtime's own, which the cluster has"
    image_or_unknown = facts.kserve.storage_initializer_image
    if isinstance(image_or_unknown, Unknown):
        return "", f"no runtime is known, and KServe's own image is not: {image_or_unknown.why}"
    return image_or_unknown, "the loader's image is KServe's storage initializer, which the cluster has"


def _pod(spec: ModelSpec, facts: Facts, image: str, place: Place) -> Mapping[str, Any]:
    origin, runtime = _object(facts.origin_service), _object(facts.origin_runtime)
    selector, tolerations = placement_of(origin, runtime)
    pods = known(facts.runtime_pods, ())
    return loader_pod(
        name_prefix="pvserve-load",
        namespace=facts.namespace.name,
        claim=spec.claim.name,
        image=image,
        read_only=False,
        identity=loader_identity(_object(facts.namespace.object), pods[0] if pods else None),
        node_name=_node(facts),
        node_selector=selector,
        tolerations=tolerations,
        labels={LOADER_LABEL: hashlib.sha256(str(place).encode()).hexdigest()[:20]},
    )


def _node(facts: Facts) -> str | None:
    """The node that a ReadWriteOnce claim is mounted on: nobody else can mount it."""
    claim = facts.claim.object
    if not isinstance(claim, dict) or set(access_modes(claim)) & {"ReadWriteMany", "ReadOnlyMany"}:
        return None
    nodes = [holder.node for holder in known(facts.claim.holders, ()) if holder.node and not holder.made_by_pvserve]
    return nodes[0] if nodes else None


def _object(found: Object | Unknown | None) -> Object | None:
    return None if isinstance(found, Unknown) else found
