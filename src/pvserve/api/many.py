"""Several models in one run: planned with one look at the cluster, carried out side by side.

Owns which models go one after the other, and that one's failure does not stop the others. Must not print, nor decide
what is done for one model.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from pvserve.api import models
from pvserve.api.gathering import GOALS, Gathered, gather
from pvserve.api.planned import Planned, admitted
from pvserve.apply.run import refuse
from pvserve.cluster import Cluster
from pvserve.cluster.look import Look
from pvserve.cluster.reading import PARALLEL
from pvserve.errors import Interrupted, PvserveError, StalePlan
from pvserve.events import Listener
from pvserve.plan import Plan
from pvserve.plan.ahead import ahead, same_deed
from pvserve.plan.source import Content
from pvserve.plan.steps import Load
from pvserve.spec.model import ModelSpec
from pvserve.verify.endpoint import Request

PLANNING = 8  # models planned at a time: each waits for the cluster most of its time
PARALLEL_MODELS = 2  # carried out at a time, where nothing else is said: a transfer can take all of a processor


@dataclass(frozen=True)
class Member:
    """One model of a run: its plan, or why there is none. `spec` is None where the plan was saved."""

    name: str
    cluster: Cluster
    claim: str
    planned: Planned | None = None
    failure: PvserveError | None = None
    spec: ModelSpec | None = None
    goals: frozenset[str] = GOALS
    force: bool = False

    @property
    def error(self) -> PvserveError | None:
        """Why it cannot be carried out: it could not be planned, or its plan is refused."""
        try:
            if self.planned is not None:
                refuse(self.planned.plan)
        except PvserveError as error:
            return error
        return self.failure

    @property
    def place(self) -> tuple[str, str]:
        """What it must not share with another at the same time: models of one claim go one after the other."""
        return self.cluster.namespace, self.claim


@dataclass(frozen=True)
class Result:
    """How one model ended: an outcome, or an error."""

    member: Member
    outcome: models.Outcome | None = None
    error: PvserveError | None = None

    @property
    def exit_code(self) -> int:
        """Of this model alone."""
        return self.error.exit_code if self.error else self.outcome.exit_code if self.outcome else 0


def plan_many(
    specs: Sequence[ModelSpec],
    cluster: Cluster,
    *,
    goals: frozenset[str] = GOALS,
    checksum: bool = False,
    force: bool = False,
) -> tuple[Member, ...]:
    """A plan for each, in their order; changes nothing. What cannot be planned says why and stops no other.

    Facts of the cluster that several need are read once. Of models that share a claim which does not exist, the first
    makes it, large enough for all of them, and the others take it for given.
    """
    look = Look(cluster)
    with ThreadPoolExecutor(PARALLEL) as reads, ThreadPoolExecutor(PLANNING) as plans:

        def read(spec: ModelSpec) -> Gathered:
            where = look.within(spec.namespace or cluster.namespace)
            return gather(spec, where, goals=goals, checksum=checksum, pool=reads, force=force)

        try:
            gathered = [_kept(asked) for asked in [plans.submit(read, spec) for spec in specs]]
            made = _made(gathered)
            asked = [
                plans.submit(_admitted, look.within(spec.namespace or cluster.namespace), found, plan)
                for spec, found, plan in zip(specs, gathered, made, strict=True)
            ]
            planned = [_kept(each) for each in asked]
        except BaseException:
            for pool in (plans, reads):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
    members = [_member(spec, cluster, found) for spec, found in zip(specs, planned, strict=True)]
    return tuple(replace(member, goals=goals, force=force) for member in members)


def saved_members(plans: Sequence[Plan], cluster: Cluster) -> tuple[Member, ...]:
    """Saved plans with their model directories as they are now."""
    return tuple(_saved(plan, cluster.within(plan.namespace)) for plan in plans)


def _saved(plan: Plan, cluster: Cluster) -> Member:
    member = Member(plan.service, cluster, plan.claim)
    load = next((step for step in plan.steps if isinstance(step, Load)), None)
    try:
        return replace(member, planned=Planned(plan, models.listing_of(load) if load else None))
    except PvserveError as error:
        return replace(member, failure=error)


def _kept(asked: Future[Gathered] | Future[Planned]) -> Gathered | Planned | PvserveError:
    try:
        return asked.result()
    except PvserveError as error:
        return error


def _made(gathered: Sequence[Gathered | Planned | PvserveError]) -> list[Plan | None]:
    """The plans one after the other, each as if those before it were carried out."""
    brought: dict[tuple[str, str], list[Content]] = defaultdict(list)
    before: dict[tuple[str, str], list[Plan]] = defaultdict(list)
    for item in gathered:
        if isinstance(item, Gathered):
            brought[_place(item)].append(item.brings)
    out: list[Plan | None] = []
    for item in gathered:
        if not isinstance(item, Gathered):
            out.append(None)
            continue
        place, own = _place(item), item.brings
        size, files = _sum(brought[place])
        plan = item.made(ahead(item.facts, before[place]), (size - own[0], files - own[1]))
        before[place].append(plan)
        out.append(plan)
    return out


def _place(item: Gathered) -> tuple[str, str]:
    return item.facts.namespace.name, item.facts.claim.name


def _sum(contents: Sequence[Content]) -> Content:
    return sum(size for size, _ in contents), sum(files for _, files in contents)


def _admitted(cluster: Cluster, found: Gathered | Planned | PvserveError, plan: Plan | None) -> Planned:
    if isinstance(found, PvserveError) or plan is None:
        assert isinstance(found, PvserveError)
        raise found
    return admitted(plan, cluster, found.listing)


def _member(spec: ModelSpec, cluster: Cluster, found: Gathered | Planned | PvserveError) -> Member:
    where = cluster.within(spec.namespace or cluster.namespace)
    member = Member(spec.name, where, spec.claim.name, spec=spec)
    if isinstance(found, PvserveError):
        return replace(member, failure=found)
    assert isinstance(found, Planned)
    return replace(member, planned=found)


@dataclass(frozen=True)
class Watching:
    """Who hears of a run of several models, and who may stop it. `done` and the listeners are called by any thread."""

    listener: Callable[[Member], Listener]
    done: Callable[[Result], None]
    cancel: threading.Event


def apply_many(
    members: Sequence[Member],
    watching: Watching,
    *,
    parallel: int = PARALLEL_MODELS,
    request: Request | None = None,
) -> tuple[Result, ...]:
    """Carries out the plans, `parallel` at a time, those of one claim one after the other; results in their order."""
    groups: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        groups.setdefault(member.place, []).append(member)
    with ThreadPoolExecutor(parallel, thread_name_prefix="model") as pool:
        running = [pool.submit(_group, group, watching, request) for group in groups.values()]
        results = {id(result.member): result for each in running for result in each.result()}
    return tuple(results[id(member)] for member in members)


def _group(members: Sequence[Member], watching: Watching, request: Request | None) -> list[Result]:
    out: list[Result] = []
    for member in members:
        tried = any(result.member.error is None for result in out)
        result = _one(member, watching, request, again=tried)
        watching.done(result)
        out.append(result)
    return out


def _one(member: Member, watching: Watching, request: Request | None, *, again: bool) -> Result:
    try:
        if watching.cancel.is_set():
            raise Interrupted("Interrupted", "not begun; the same command goes on here")
        if member.planned is None or member.error is not None:
            raise member.error or AssertionError
        planned = _planned_again(member, member.spec, member.planned.plan) if again and member.spec else member.planned
        listen = watching.listener(member)
        outcome = models.apply(planned, member.cluster, listen=listen, cancel=watching.cancel, request=request)
        return Result(member, outcome)
    except PvserveError as error:
        return Result(member, error=error)
    except Exception as error:  # noqa: BLE001 - it must not end the other models
        words = f"pvserve itself is at fault: {type(error).__name__}: {error}"
        return Result(member, error=PvserveError("InternalError", words))


def _planned_again(member: Member, spec: ModelSpec, shown: Plan) -> Planned:
    """As the claim is after the model before this one. Raises StalePlan where more than that changed."""
    planned = models.plan(spec, member.cluster, goals=member.goals, force=member.force)
    if not planned.plan.refusals and not same_deed(shown, planned.plan):
        raise StalePlan(
            "PlanIsStale",
            f"what {member.name} is made from changed since its plan was shown",
            subject=member.name,
            remedy=("run the same command again",),
        )
    return planned
