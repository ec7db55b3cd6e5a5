"""Planning, showing, asking and applying, as deploy, load, serve, plan and rollback share them.

Owns the order in which a person sees these. Decides nothing about clusters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from pvserve.api import models
from pvserve.api.planned import Planned
from pvserve.apply.run import refuse
from pvserve.cli.files import read_text
from pvserve.cli.interrupts import cancelling
from pvserve.cli.options import Shared, confirm
from pvserve.cli.specs import KEYS, specs
from pvserve.cluster import Cluster
from pvserve.errors import UsageError
from pvserve.plan import plan_from_json, plan_to_json
from pvserve.plan.steps import Load, Plan
from pvserve.show.plan import plan_text
from pvserve.show.proof import proof_text
from pvserve.show.words import colours
from pvserve.verify.endpoint import Request

SAVED = ".json"


def planned_models(
    shared: Shared, flags: dict[str, Any], *, goals: frozenset[str] = models.GOALS
) -> Iterator[tuple[Cluster, Planned]]:
    """A plan for each model that the flags and files name."""
    for spec in specs(flags, namespace=shared.namespace):
        cluster = shared.connect(spec.namespace)
        yield cluster, models.plan(spec, cluster, goals=goals, checksum=bool(flags.get("checksum")))


def planned_or_saved(
    shared: Shared, flags: dict[str, Any], *, goals: frozenset[str] = models.GOALS
) -> Iterator[tuple[Cluster, Planned]]:
    """As `planned_models`, or the saved plan where SOURCE is one.

    Raises UsageError when flags are given that a saved plan would ignore.
    """
    source = str(flags.get("source") or "")
    if not source.endswith(SAVED):
        yield from planned_models(shared, flags, goals=goals)
        return
    ignored = ["no-load"] if goals != models.GOALS else []
    ignored += [
        flag
        for flag in (*KEYS, "file", "values", "set", "checksum")
        if flag != "source" and flags.get({"set": "assignments"}.get(flag, flag))
    ]
    if ignored or shared.namespace:
        words = ", ".join("--" + flag.replace("_", "-") for flag in ignored or ["namespace"])
        raise UsageError(
            "Usage",
            f"{source} is a saved plan, which says all: {words} would be ignored",
            remedy=("leave the flags out, or make the plan again with them: pvserve plan … --out " + source,),
        )
    plan = plan_from_json(read_text(source), source)
    load = next((step for step in plan.steps if isinstance(step, Load)), None)
    yield shared.connect(plan.namespace), Planned(plan, models.listing_of(load) if load else None)


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
    value: dict[str, Any] = {"done": list(outcome.applied.done)}
    text = "done\n" if outcome.applied.done else "nothing to change\n"
    if outcome.applied.loaded is not None:
        loaded, uri = outcome.applied.loaded, f"pvc://{plan.claim}/{plan.path}"
        value |= {"uri": uri, "manifest": loaded.manifest_digest, "bytes": loaded.manifest.bytes}
        text = f"{uri}\n"
    if outcome.proof is not None:
        value["proof"] = outcome.proof.as_dict()
        text = proof_text(outcome.proof, colour=colours(sys.stdout))
    if plan.afterwards:
        value["next"] = list(plan.afterwards)
        text += "".join(f"next: {command}\n" for command in plan.afterwards)
    shared.print(value, text)
