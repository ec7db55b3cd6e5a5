"""Planning, showing, asking and applying, as deploy, load, serve, plan and rollback share them.

Owns the order in which a person sees these. Decides nothing about clusters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pvserve import api
from pvserve.apply.run import refuse
from pvserve.cli.interrupts import cancelling
from pvserve.cli.options import Shared
from pvserve.cli.specs import specs
from pvserve.cluster import Cluster
from pvserve.plan import plan_from_json, plan_to_json
from pvserve.plan.steps import Load, Plan
from pvserve.show.plan import plan_text
from pvserve.show.proof import proof_text
from pvserve.show.words import colours
from pvserve.verify.endpoint import Request


def planned_models(
    shared: Shared, flags: dict[str, Any], *, goals: frozenset[str] = api.GOALS
) -> Iterator[tuple[Cluster, api.Planned]]:
    """A plan for each model that the flags and files name, or the saved plan."""
    source = str(flags.get("source") or "")
    if source.endswith(".json") and Path(source).is_file():
        yield _saved(shared, Path(source))
        return
    for spec in specs(flags, namespace=shared.namespace):
        cluster = shared.connect(spec.namespace)
        yield cluster, api.plan(spec, cluster, goals=goals, checksum=bool(flags.get("checksum")))


def _saved(shared: Shared, file: Path) -> tuple[Cluster, api.Planned]:
    plan = plan_from_json(file.read_text(encoding="utf-8"), str(file))
    load = next((step for step in plan.steps if isinstance(step, Load)), None)
    return shared.connect(plan.namespace), api.Planned(plan, api.listing_of(load) if load else None)


def show_plan(shared: Shared, plan: Plan) -> None:
    """The plan in the form that was asked for."""
    import json

    if shared.output == "text":
        print(plan_text(plan, colour=colours(sys.stdout)), end="")
    else:
        shared.print({"plan": json.loads(plan_to_json(plan))}, "")


def carry_out(
    shared: Shared,
    cluster: Cluster,
    planned: api.Planned,
    *,
    dry_run: bool,
    yes: bool,
    confirm: Callable[..., None],
    request: Request | None = None,
) -> int:
    """Shows the plan, asks, applies it and shows the proof; returns the exit code."""
    plan = planned.plan
    if shared.output == "text" or dry_run:
        show_plan(shared, plan)
    refuse(plan)
    if dry_run:
        return 0
    if plan.changes_pending:
        confirm(f"Carry out these {len(plan.steps)} steps in namespace {plan.namespace}?", yes=yes)
    with cancelling() as cancel:
        outcome = api.apply(planned, cluster, listen=shared.listener(), cancel=cancel, request=request)
    if outcome.proof is not None:
        shared.print({"proof": outcome.proof.as_dict()}, proof_text(outcome.proof, colour=colours(sys.stdout)))
    elif outcome.applied.loaded is not None:
        loaded = outcome.applied.loaded
        uri = f"pvc://{plan.claim}/{plan.path}"
        shared.print({"uri": uri, "manifest": loaded.manifest_digest, "bytes": loaded.manifest.bytes}, f"{uri}\n")
    else:
        shared.print({"done": list(outcome.applied.done)}, "done\n" if outcome.applied.done else "nothing to change\n")
    return outcome.exit_code
