"""`pvserve plan`: what deploy would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pvserve.cli.options import Shared, cluster_options, force_option, spec_options

PENDING_EXIT = 9


@click.command()
@spec_options
@force_option
@click.option("--out", type=click.Path(dir_okay=False), help="Write the plan, for `pvserve deploy PLAN.json`.")
@click.option("--detailed-exitcode", is_flag=True, help=f"Exit with {PENDING_EXIT} when changes are pending.")
@cluster_options
def command(shared: Shared, out: str | None, detailed_exitcode: bool, **flags: Any) -> int:
    """Show the steps, each object's difference, what admission alters, and what is left out and why.

    SOURCE is a model directory, or a plan.json that `--out` wrote.
    """
    from pvserve.apply.run import refuse
    from pvserve.cli.carry import SAVED, members_of, show_plan
    from pvserve.cli.files import write_text
    from pvserve.cli.many import show_plans, summary_of_plans
    from pvserve.errors import UsageError
    from pvserve.plan import plans_to_json

    if out and not out.endswith(SAVED):
        raise UsageError("Usage", f"--out {out}: a saved plan is known by its name", remedy=(f"--out {out}{SAVED}",))
    members = members_of(shared, flags)
    plans = [member.planned.plan for member in members if member.planned]
    pending_exit = PENDING_EXIT if detailed_exitcode else 0
    if len(members) == 1 and plans:
        show_plan(shared, plans[0])
        refuse(plans[0])
        code = pending_exit if plans[0].changes_pending else 0
    else:
        show_plans(shared, members)
        code = summary_of_plans(shared, members, pending_exit)
    if out and not any(member.error for member in members):  # all of them or none: they belong together
        write_text(Path(out), plans_to_json(plans))
    return code
