"""How the cluster differs from model files, as a function: what `pvserve diff` calls and what notebooks import.

Owns wiring only: spec -> facts -> plan -> drift. Changes nothing. Must not print, nor decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pvserve.api.gathering import GOALS, Gathered, gather
from pvserve.api.many import PLANNING
from pvserve.cluster import Cluster
from pvserve.cluster.look import Look
from pvserve.cluster.reading import PARALLEL
from pvserve.errors import PvserveError
from pvserve.events import Listener, silent
from pvserve.facts import Unknown
from pvserve.plan.drift import Drift, drift_of, with_volume
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place
from pvserve.verify.run import verify_place


@dataclass(frozen=True)
class Compared:
    """One model: how the cluster differs, or why that cannot be said."""

    name: str
    namespace: str
    drift: Drift | None = None
    error: PvserveError | None = None


def diff(
    spec: ModelSpec, cluster: Cluster, *, checksum: bool = False, full: bool = False, listen: Listener = silent
) -> Drift:
    """How the cluster differs from `spec`; nothing is changed, and no right to change anything is needed.

    `checksum` reads every byte of the source instead of trusting the digest cache; `full` reads every byte on the
    volume too, through a pod that mounts it read-only, and needs the rights for that.
    """
    (compared,) = diff_many((spec,), cluster, checksum=checksum, full=full, listen=listen)
    if compared.error is not None or compared.drift is None:
        raise compared.error or AssertionError
    return compared.drift


def diff_many(
    specs: Sequence[ModelSpec],
    cluster: Cluster,
    *,
    checksum: bool = False,
    full: bool = False,
    listen: Listener = silent,
) -> tuple[Compared, ...]:
    """As `diff` for each, with one look at the cluster; one that cannot be compared stops no other."""
    look = Look(cluster)
    with ThreadPoolExecutor(PARALLEL) as reads, ThreadPoolExecutor(PLANNING) as models:

        def one(spec: ModelSpec) -> Compared:
            where = look.within(spec.namespace or cluster.namespace)
            try:
                gathered = gather(spec, where, goals=GOALS, checksum=checksum, pool=reads, looking=True)
                return Compared(spec.name, where.namespace, _drift(gathered))
            except PvserveError as error:
                return Compared(spec.name, where.namespace, error=error)

        found = tuple(models.map(one, specs))
    if not full:
        return found
    return tuple(_with_volume(each, spec, cluster, listen) for each, spec in zip(found, specs, strict=True))


def _drift(gathered: Gathered) -> Drift:
    return drift_of(gathered.spec, gathered.facts, gathered.made(), gathered.listing)


def _with_volume(compared: Compared, spec: ModelSpec, cluster: Cluster, listen: Listener) -> Compared:
    """One reader pod after the other: they read whole volumes."""
    drift, where = compared.drift, cluster.within(compared.namespace)
    if drift is None:
        return compared
    claim = where.find("v1", "PersistentVolumeClaim", spec.claim.name, where.namespace)
    if claim is None or isinstance(claim, Unknown):
        return compared
    place = str(Place(spec.claim.name, spec.destination or ""))
    try:
        proof = verify_place(where, place, listen, level="full")
    except PvserveError as error:
        return Compared(compared.name, compared.namespace, error=error)
    (check,) = [check for check in proof.checks if check.name == "digests"]
    return Compared(compared.name, compared.namespace, with_volume(drift, place, check.evidence, check.result))
