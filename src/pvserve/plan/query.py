"""What must be known of a cluster for one plan.

Owns the question. Pure.
"""

from __future__ import annotations

from collections.abc import Collection

from pvserve.facts import FactsQuery, OwnPlace, Unknown
from pvserve.plan.model_cache import CACHE
from pvserve.plan.retain import MAKE_CLASS, PATCH_VOLUME
from pvserve.plan.rights import Use, may_record, required
from pvserve.plan.source import is_place
from pvserve.spec.model import ModelSpec
from pvserve.spec.names import split_origin
from pvserve.spec.place import parse_place
from pvserve.spec.remote import is_remote
from pvserve.spec.start import is_file


def uses_of(spec: ModelSpec, goals: Collection[str]) -> tuple[Use, ...]:
    """What the plan of these goals may have to do."""
    uses: list[Use] = ["load"] if "load" in goals else []
    if uses and is_remote(spec.model):
        uses.append("fetch")
    if "serve" in goals:
        uses += ["serve", "prove"]
        if spec.in_place:
            uses.append("in-place")
    return tuple(uses)


def facts_query(
    spec: ModelSpec, goals: Collection[str], namespace: str, own: OwnPlace | Unknown | None = None
) -> FactsQuery:
    """The objects and rights to read; `namespace` is where the spec names none, `own` as in `Facts`."""
    where = spec.namespace or namespace
    serve = "serve" in goals
    optional = (MAKE_CLASS, PATCH_VOLUME) if "load" in goals and spec.claim.retain != "no" else ()
    asked = (*optional, may_record(where)) if serve else optional
    return FactsQuery(
        namespace=where,
        claim=spec.claim.name,
        source_claim=_source_claim(spec, where, own) if "load" in goals else "",
        service=spec.name if serve else "",
        runtime=spec.name if serve and not spec.in_place else "",
        origin=_origin(spec, where) if serve else None,
        origin_runtime=spec.runtime or "",
        rights=tuple(dict.fromkeys((*required(uses_of(spec, goals), where), *asked))),
        model_caches=CACHE in goals,
    )


def _source_claim(spec: ModelSpec, where: str, own: OwnPlace | Unknown | None) -> str:
    if spec.model and is_place(spec.model):
        return parse_place(spec.model).claim
    copied = spec.loader.claim_copy and isinstance(own, OwnPlace) and own.namespace == where
    return own.claim if isinstance(own, OwnPlace) and copied else ""


def _origin(spec: ModelSpec, where: str) -> tuple[str, str] | None:
    """In place, the service is its own origin: the loader takes image, identity and placement from it."""
    if is_file(spec.origin):
        return None
    if spec.origin:
        return split_origin(spec.origin, where)
    return (where, spec.name) if not spec.runtime and not spec.format else None
