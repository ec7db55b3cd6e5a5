"""`pvserve deploy`: the main job."""

from __future__ import annotations

from typing import Any

import click

from pvserve.cli.options import Shared, change_options, cluster_options, request_options, spec_options


@click.command()
@spec_options
@change_options
@request_options
@cluster_options
def command(
    shared: Shared, dry_run: bool, yes: bool, request_path: str | None, request_body: str | None, **flags: Any
) -> int:
    """Plan, show, load, serve and prove. SOURCE is a model directory, or a plan.json that `plan --out` wrote."""
    from pvserve.cli.carry import carry_out, planned_or_saved
    from pvserve.cli.requests import request_of

    request = request_of(request_path, request_body)
    worst = 0
    for cluster, planned in planned_or_saved(shared, flags):
        code = carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes, request=request)
        worst = worst or code
    return worst
