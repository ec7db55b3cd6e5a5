"""What one plan is made from, read: the model directory and the cluster.

Owns the reading of both. Must not decide: `plan` does.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

from pvserve.cluster import Cluster
from pvserve.cluster.own_pod import own_place
from pvserve.cluster.reading import read_facts
from pvserve.cluster.surroundings import surroundings
from pvserve.errors import Refused
from pvserve.facts import Facts
from pvserve.model import Listing, Manifest, check_weights, known_manifest, refusal
from pvserve.model import listing as list_directory
from pvserve.plan import Plan, build, facts_query
from pvserve.plan.ahead import forced, with_start
from pvserve.plan.build import lacking
from pvserve.plan.edit_service import runtime_name
from pvserve.plan.fetching import listing_order, listing_pod
from pvserve.plan.model_cache import CACHE
from pvserve.plan.source import Content, is_place
from pvserve.remote import list_remote
from pvserve.spec.model import ModelSpec
from pvserve.spec.remote import is_remote
from pvserve.spec.start import is_file, read_start

GOALS = frozenset({"load", "serve"})


@dataclass(frozen=True)
class Gathered:
    """A spec, what the cluster is, and the model directory with its manifest where that is known."""

    spec: ModelSpec
    goals: frozenset[str]
    facts: Facts
    listing: Listing | None
    content: Manifest | None
    checksum: bool = False
    force: bool = False

    def made(self, facts: Facts | None = None, beside: Content = (0, 0)) -> Plan:
        """The plan; for other `facts`, where plans before it change them."""
        facts = facts or self.facts
        plan = build(self.spec, facts, self.listing, self.content, self.goals, beside, self.checksum)
        return forced(plan) if self.force else plan

    @property
    def brings(self) -> Content:
        """Bytes and files of the model directory; none of a model that is elsewhere."""
        return (self.listing.bytes, len(self.listing.entries)) if self.listing is not None else (0, 0)


def gather(
    spec: ModelSpec,
    cluster: Cluster,
    *,
    goals: frozenset[str] = GOALS,
    checksum: bool = False,
    pool: Executor | None = None,
    looking: bool = False,
    force: bool = False,
) -> Gathered:
    """Reads the model directory and the cluster; `pool` makes the requests, where several share one.

    `checksum` ignores digests of earlier times, here and on claims. `looking` is for commands that change nothing: no
    right is asked for, and the plan takes them for given; with `force` it takes fields over that somebody else edited.
    Raises Refused for a model directory with broken weights.
    """
    listing = known = None
    if "load" in goals and spec.model and not is_place(spec.model) and not is_remote(spec.model):
        listing = list_directory(spec.model, include=spec.include, exclude=spec.exclude)
        broken = refusal(check_weights(listing))
        if broken:
            raise broken
        known = known_manifest(listing, checksum=checksum)
    own = own_place(cluster, listing.root) if listing is not None else None
    query = facts_query(spec, goals, cluster.namespace, own)
    start = read_start(spec.origin or "", query.namespace) if "serve" in goals and is_file(spec.origin) else None
    if start is not None:
        query = replace(query, origin_runtime=runtime_name(start.service))
    facts = replace(read_facts(cluster, replace(query, rights=()) if looking else query, pool), own=own)
    facts = with_start(facts, start) if start is not None else facts
    if looking:
        facts = replace(facts, rights=dict.fromkeys(query.rights, True))
    if "load" in goals and is_remote(spec.model) and not looking:  # only a pod can list it
        facts = replace(facts, surroundings=surroundings())
        listing = _listed_there(spec, cluster, facts, everything=CACHE in goals)
    return Gathered(spec, goals, facts, listing, known, checksum, force)


def _listed_there(spec: ModelSpec, cluster: Cluster, facts: Facts, *, everything: bool) -> Listing | None:
    """What a source holds that only the cluster reads; None where the plan will be refused before that matters."""
    if not isinstance(facts.namespace.object, dict) or lacking(spec, facts, {"load"}):
        return None
    pod, why = listing_pod(spec, facts)
    if pod is None:
        raise Refused(
            "NoLoaderImage", f"no image is known for the loader pod: {why}", remedy=("name one with --image",)
        )
    return list_remote(cluster.anew(), pod, listing_order(spec, facts, everything=everything))
