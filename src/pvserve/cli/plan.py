"""`pvserve plan`: what deploy would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pvserve.cli.options import Shared, cluster_options, spec_options

PENDING_EXIT = 9


@click.command()
@spec_options
@click.option("--out", type=click.Path(dir_okay=False), help="Write the plan, for `pvserve deploy PLAN.json`.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 9 when changes are pending.")
@cluster_options
def command(shared: Shared, out: str | None, detailed_exitcode: bool, **flags: Any) -> int:
    """Show the steps, each object's difference, what admission alters, and what is left out and why."""
    from pvserve.apply.run import refuse
    from pvserve.cli.carry import planned_models, show_plan
    from pvserve.errors import UsageError
    from pvserve.plan import plan_to_json

    pending = False
    models = list(planned_models(shared, flags))
    if out and len(models) != 1:
        raise UsageError("Usage", f"--out takes one model, the file has {len(models)}")
    for _, planned in models:
        show_plan(shared, planned.plan)
        refuse(planned.plan)
        pending = pending or planned.plan.changes_pending
        if out:
            Path(out).write_text(plan_to_json(planned.plan), encoding="utf-8")
    return PENDING_EXIT if pending and detailed_exitcode else 0
