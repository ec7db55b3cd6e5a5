"""Planning, showing, asking and applying, as deploy, load, serve, plan and rollback share them.

Owns the order in which a person sees these. Decides nothing about clusters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from pvserve.api import models
from pvserve.api.gathering import GOALS
from pvserve.api.many import Member, plan_many, saved_members
from pvserve.api.planned import Planned
from pvserve.apply.fetching import Fetched
from pvserve.apply.run import refuse
from pvserve.cli.files import read_text
from pvserve.cli.interrupts import cancelling
from pvserve.cli.options import Shared, confirm
from pvserve.cli.specs import KEYS, specs
from pvserve.cluster import Cluster
from pvserve.errors import UsageError
from pvserve.plan import plan_to_json, plans_from_json
from pvserve.plan.steps import Plan
from pvserve.show.plan import plan_text
from pvserve.show.proof import proof_text
from pvserve.show.words import colours, size
from pvserve.transfer import Loaded
from pvserve.verify.endpoint import Request

SAVED = ".json"


def planned_models(
    shared: Shared, flags: dict[str, Any], *, goals: frozenset[str] = GOALS
) -> Iterator[tuple[Cluster, Planned]]:
    """A plan for each model that the flags name, for commands of one model."""
    for spec in specs(flags, namespace=shared.namespace):
        cluster = shared.connect(spec.namespace)
        yield cluster, models.plan(spec, cluster, goals=goals, checksum=bool(flags.get("checksum")))


def members_of(shared: Shared, flags: dict[str, Any], *, goals: frozenset[str] = GOALS) -> tuple[Member, ...]:
    """A plan for each model that the flags and files name, or the saved plans where SOURCE is a file of them.

    What is wrong with one model alone raises; of several, each says what is wrong with it. Raises UsageError when
    flags are given that a saved plan would ignore.
    """
    source = str(flags.get("source") or "")
    if source.endswith(SAVED):
        _check_ignored(shared, flags, source, goals)
        plans = plans_from_json(read_text(source), source)
        members = saved_members(plans, shared.connect(plans[0].namespace))
    else:
        found = specs(flags, namespace=shared.namespace)
        checksum, force = bool(flags.get("checksum")), bool(flags.get("force_conflicts"))
        if len(found) == 1:
            cluster = shared.connect(found[0].namespace)
            planned = models.plan(found[0], cluster, goals=goals, checksum=checksum, force=force)
            return (Member(found[0].name, cluster, found[0].claim.name, planned, spec=found[0], goals=goals),)
        members = plan_many(found, shared.connect(), goals=goals, checksum=checksum, force=force)
    failures = {(error.reason, error.message) for member in members if (error := member.failure)}
    if len(failures) == 1 and all(member.failure for member in members):  # as when the cluster cannot be reached
        raise members[0].failure or AssertionError
    return members


def _check_ignored(shared: Shared, flags: dict[str, Any], source: str, goals: frozenset[str]) -> None:
    ignored = [] if "load" in goals else ["no-load"]
    ignored += [
        flag
        for flag in (*KEYS, "file", "values", "set", "checksum", "force_conflicts")
        if flag != "source" and flags.get({"set": "assignments"}.get(flag, flag))
    ]
    if ignored or shared.namespace:
        words = ", ".join("--" + flag.replace("_", "-") for flag in ignored or ["namespace"])
        raise UsageError(
            "Usage",
            f"{source} is a saved plan, which says all: {words} would be ignored",
            remedy=("leave the flags out, or make the plan again with them: pvserve plan … --out " + source,),
        )


def show_plan(shared: Shared, plan: Plan, kind: str = "result") -> None:
    """The plan in the form that was asked for; for machines an object of type `kind`."""
    if shared.out.for_machines:
        shared.out.say(kind, {"plan": json.loads(plan_to_json(plan)), "changesPending": plan.changes_pending})
    else:
        print(plan_text(plan, colour=colours(sys.stdout)), end="", flush=True)


def carry_out(
    shared: Shared, cluster: Cluster, planned: Planned, *, dry_run: bool, yes: bool, request: Request | None = None
) -> int:
    """Shows the plan, asks, applies it and shows the proof; returns the exit code."""
    plan = planned.plan
    show_plan(shared, plan, "result" if dry_run else "plan")
    refuse(plan)
    if dry_run:
        return 0
    if plan.changes_pending:
        confirm(f"Carry out these {len(plan.steps)} steps in namespace {plan.namespace}?", yes=yes)
    with cancelling() as cancel:
        outcome = models.apply(planned, cluster, listen=shared.listener(), cancel=cancel, request=request)
    _show_outcome(shared, plan, outcome)
    return outcome.exit_code


def _show_outcome(shared: Shared, plan: Plan, outcome: models.Outcome) -> None:
    """What was done and proven, as one result."""
    shared.print(*outcome_forms(plan, outcome))


def outcome_forms(plan: Plan, outcome: models.Outcome) -> tuple[dict[str, Any], str]:
    """What was done and proven, for machines and for people."""
    value: dict[str, Any] = {"done": list(outcome.applied.done)}
    text = "done\n" if outcome.applied.done else "nothing to change\n"
    if outcome.applied.loaded is not None:
        loaded, uri = outcome.applied.loaded, f"pvc://{plan.claim}/{plan.path}"
        value |= {"uri": uri, "manifest": loaded.manifest_digest, "bytes": loaded.bytes}
        text = f"{uri}\n"
        if isinstance(loaded, Loaded):
            value |= {"sent": loaded.sent_bytes, "reused": loaded.reused_bytes}
        if isinstance(loaded, Fetched) and loaded.detached:
            value = {"done": list(outcome.applied.done), "uri": uri, "job": loaded.job, "detached": True}
            text = f"Job {loaded.job} fetches to {uri}\nnext: pvserve status {uri} --follow\n"
    if outcome.applied.removed is not None:
        removed = outcome.applied.removed
        value["removed"] = {"found": removed.found, "bytes": removed.bytes, "files": removed.files}
        text = f"removed: {removed.files} files, {size(removed.bytes)} free again\n"
        if not removed.files and not removed.found:
            text = "nothing lay there\n"
    if outcome.proof is not None:
        value["proof"] = outcome.proof.as_dict()
        text = proof_text(outcome.proof, colour=colours(sys.stdout))
    if plan.afterwards:
        value["next"] = list(plan.afterwards)
        text += "".join(f"next: {command}\n" for command in plan.afterwards)
    return value, text
