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
@click.option("--detailed-exitcode", is_flag=True, help=f"Exit with {PENDING_EXIT} when changes are pending.")
@cluster_options
def command(shared: Shared, out: str | None, detailed_exitcode: bool, **flags: Any) -> int:
    """Show the steps, each object's difference, what admission alters, and what is left out and why.

    SOURCE is a model directory, or a plan.json that `--out` wrote.
    """
    from pvserve.apply.run import refuse
    from pvserve.cli.carry import SAVED, planned_or_saved, show_plan
    from pvserve.cli.files import write_text
    from pvserve.errors import UsageError
    from pvserve.plan import plan_to_json

    if out and not out.endswith(SAVED):
        raise UsageError("Usage", f"--out {out}: a saved plan is known by its name", remedy=(f"--out {out}{SAVED}",))
    models = list(planned_or_saved(shared, flags))
    if out and len(models) != 1:
        raise UsageError("Usage", f"--out takes one model, the file has {len(models)}")
    for _, planned in models:
        show_plan(shared, planned.plan)
        refuse(planned.plan)
        if out:
            write_text(Path(out), plan_to_json(planned.plan))
    pending = any(planned.plan.changes_pending for _, planned in models)
    return PENDING_EXIT if pending and detailed_exitcode else 0
