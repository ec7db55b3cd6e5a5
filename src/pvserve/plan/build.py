"""(spec, facts, model directory) -> Plan.

Owns the order of the parts and what stops a plan as a whole. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pvserve.facts import Facts, Right, Unknown
from pvserve.model import Listing, Manifest
from pvserve.plan.afresh import (
    FILES,
    marked,
    uncontested,
    with_own_claim_written,
    with_own_service_written,
    without_own,
)
from pvserve.plan.claim import recorded_models
from pvserve.plan.fetching import fetch_part
from pvserve.plan.loading import load_part, source_part
from pvserve.plan.model_cache import CACHE, cache_part, cache_path
from pvserve.plan.own_claim import with_own_claim
from pvserve.plan.part import Part, refused
from pvserve.plan.query import uses_of
from pvserve.plan.reach import reach_part
from pvserve.plan.retain import Keeping
from pvserve.plan.rights import required, role_text
from pvserve.plan.serving import serve_part
from pvserve.plan.source import Content, Source, is_place, of_directory, of_place, of_remote
from pvserve.plan.steps import Load, LoadJob, NotDone, Plan, Refusal
from pvserve.plan.volume import chosen_class, claim_part
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place
from pvserve.spec.remote import is_remote


def build(
    spec: ModelSpec,
    facts: Facts,
    listing: Listing | None,
    content: Manifest | None,
    goals: Collection[str],
    beside: Content = (0, 0),
    checksum: bool = False,
) -> Plan:
    """What is to be done so that the cluster is as the spec says.

    `listing` is the model directory (None: the model lies on the claim), `content` its manifest where that is known
    without reading every byte, `goals` what the command is for: "load", "serve", or both, "files" where the plan is to
    be written whole, and "kserve-cache" where KServe is to import the model; `beside` what other models of the run
    bring to the same claim; with `checksum` no digest of an earlier time is trusted. Nothing is raised: what cannot be
    done is in `refusals`, what is left out in `not_done`.
    """
    part = _namespace(facts)
    facts = without_own(spec, facts) if FILES in goals else facts
    path = cache_path(spec) if CACHE in goals else spec.destination or ""
    if not part.refusals:
        source = _source(spec, facts, listing, content) if "load" in goals else None
        if source is not None:
            digest = "" if checksum and source.place else source.digest
            source = with_own_claim(spec, facts, replace(source, beside=beside, digest=digest, checksum=checksum), path)
        whole = _whole(spec, facts, source, goals, path)
        # First: what could not be read for want of a right is refused for reasons that only follow from it.
        part = part + _rights(spec, facts, goals, bool(whole.steps or whole.refusals)) + whole
        part = uncontested(part) if FILES in goals else part
    return Plan(
        namespace=facts.namespace.name,
        service=spec.name if "serve" in goals else "",
        claim=spec.claim.name,
        path=path,
        steps=part.steps,
        unchanged=part.unchanged,
        refusals=_once(part.refusals),
        not_done=_unique(part.not_done),
        notes=tuple(dict.fromkeys(part.notes)),
        assumed=part.assumed,
    )


def _namespace(facts: Facts) -> Part:
    found = facts.namespace
    if found.object is None:
        message = f"namespace {found.name} does not exist"
        return refused("NoSuchNamespace", message, f"kubectl create namespace {found.name}", "or name another with -n")
    if not isinstance(found.object, Unknown) and found.object["metadata"].get("deletionTimestamp"):
        return refused("NamespaceGoing", f"namespace {found.name} is being deleted", "name another with -n")
    return Part()


def _whole(spec: ModelSpec, facts: Facts, source: Source | None, goals: Collection[str], path: str) -> Part:
    keeping: Keeping = claim_part(spec, facts, source)
    # Files are for later: who holds the claim by then is not known.
    reach = Part() if FILES in goals else reach_part(facts, chosen_class(spec, facts))
    if keeping.before.refusals or reach.refusals:
        return keeping.before + reach
    if "serve" in goals:
        keeping = marked(keeping, spec.name, facts.namespace.name)
    if FILES in goals and source is not None:
        keeping = with_own_claim_written(spec, facts, keeping)
    loading = _loading(spec, facts, source, goals, path) if source is not None else Part()
    part = keeping.before + loading + keeping.after
    if "serve" not in goals:
        return part
    if any(isinstance(step, LoadJob) and step.detach for step in loading.steps):
        message = "a service can only be made when the model is there: --detach is for `pvserve load`"
        return refused("DetachedServe", message, "leave out --detach", code=2)
    loads = bool(loading.steps) if CACHE in goals else any(isinstance(s, Load | LoadJob) for s in loading.steps)
    uri = str(Place(spec.claim.name, path))
    live = facts.claim.object if isinstance(facts.claim.object, dict) else None
    size = source.bytes if source is not None else int(recorded_models(live).get(path, {}).get("bytes") or 0)
    serving = serve_part(spec, facts, uri, loads=loads, size=size)
    whole = FILES in goals and spec.in_place and not serving.refusals
    return part + (with_own_service_written(facts, serving) if whole else serving)


def _loading(spec: ModelSpec, facts: Facts, source: Source, goals: Collection[str], path: str) -> Part:
    if CACHE in goals:
        return cache_part(spec, facts, source, path)
    if source.remote:
        return fetch_part(spec, facts, source, path)
    return source_part(facts, source, path) + load_part(spec, facts, source, path)


def _source(spec: ModelSpec, facts: Facts, listing: Listing | None, content: Manifest | None) -> Source | None:
    if listing is not None and is_remote(spec.model):
        return of_remote(listing)
    if listing is not None:
        return of_directory(listing, content)
    return of_place(spec, facts) if is_place(spec.model) else None


def _rights(spec: ModelSpec, facts: Facts, goals: Collection[str], changing: bool) -> Part:
    """Refused as a whole before anything is made, where a right is known to be missing."""
    wanted = required(uses_of(spec, goals), facts.namespace.name)
    missing = lacking(spec, facts, goals)
    if not missing or not changing:
        return Part()
    shown = "; ".join(str(right) for right in missing)
    return refused(
        "MissingRights",
        f"you may not {shown}",
        f"an administrator of the namespace can give them with: kubectl apply -f - <<'EOF'\n{role_text(wanted)}\nEOF",
        code=4,
    )


def lacking(spec: ModelSpec, facts: Facts, goals: Collection[str]) -> list[Right]:
    """The required rights that are known to be missing."""
    wanted = required(uses_of(spec, goals), facts.namespace.name)
    return [right for right in wanted if facts.rights.get(right) is False]


def _once(refusals: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    return tuple({item.message: item for item in refusals}.values())


def _unique(items: tuple[NotDone, ...]) -> tuple[NotDone, ...]:
    return tuple({item.what: item for item in items}.values())
