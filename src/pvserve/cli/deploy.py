"""`pvserve deploy`: the main job."""

from __future__ import annotations

from typing import Any

import click

from pvserve.cli.options import Shared, cluster_options, confirm, spec_options


@click.command()
@spec_options
@click.option("--dry-run", is_flag=True, help="Only show the plan; the same as `pvserve plan`.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--request-path", help="Path of the inference request of the proof.")
@click.option("--request", "request_body", help="Body (JSON) of the inference request of the proof.")
@cluster_options
def command(
    shared: Shared, dry_run: bool, yes: bool, request_path: str | None, request_body: str | None, **flags: Any
) -> int:
    """Plan, show, load, serve and prove. SOURCE is a model directory, or a plan.json that `plan --out` wrote."""
    from pvserve.cli.carry import carry_out, planned_models
    from pvserve.cli.requests import request_of

    if dry_run:
        yes = False
    request = request_of(request_path, request_body)
    worst = 0
    for cluster, planned in planned_models(shared, flags):
        code = carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes, confirm=confirm, request=request)
        worst = worst or code
    return worst
