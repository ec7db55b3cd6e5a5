"""A model directory on a claim of the very pod that pvserve runs in: copied from claim to claim, where that can be.

Owns this decision. Whatever stands in its way only costs the short way: the bytes then go over the network. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from pvserve.facts import Facts, Object, OwnPlace, Unknown
from pvserve.plan.edit_service import placement_of
from pvserve.plan.loading import held_on, source_part
from pvserve.plan.source import Source
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place


def with_own_claim(spec: ModelSpec, facts: Facts, source: Source, path: str) -> Source:
    """`source` with the place where it lies on a claim, or with a note on why that place is not used."""
    own = facts.own
    if own is None or not spec.loader.claim_copy:
        return source
    if isinstance(own, Unknown):
        return _sent(source, own.why)
    place = Place(own.claim, own.path)
    copied = replace(source, place=place)
    why = _hindrance(spec, facts, copied, own, path)
    if why:
        return _sent(source, f"it lies at {place} of pod {own.pod}, but {why}")
    note = (
        f"the model directory lies at {place}, a claim of this pod ({own.pod}): the loader pod mounts it too and "
        "copies there, nothing crosses the network (--no-claim-copy sends it instead)"
    )
    return replace(copied, notes=(*source.notes, note))


def _sent(source: Source, why: str) -> Source:
    return replace(source, notes=(*source.notes, f"the model directory is sent over the network: {why}"))


def _hindrance(spec: ModelSpec, facts: Facts, copied: Source, own: OwnPlace, path: str) -> str:
    if own.namespace != facts.namespace.name:
        return f"that is in namespace {own.namespace}, where no pod of namespace {facts.namespace.name} can mount it"
    if spec.loader.via != "auto":
        return f"--via {spec.loader.via} was asked for"
    if facts.source is None:
        return f"claim {own.claim} was not read"
    refusals = source_part(facts, copied, path).refusals
    if refusals:
        return refusals[0].message
    node = held_on(facts.source)
    selector, _ = placement_of(_known(facts.origin_service), _known(facts.origin_runtime))
    if node and selector and held_on(facts.claim) != node:
        return f"claim {own.claim} is mounted on node {node}, which may not be one that the service selects"
    return ""


def _known(found: Object | Unknown | None) -> Object | None:
    return None if isinstance(found, Unknown) else found
