"""`pvserve deploy`: the main job."""

from __future__ import annotations

from typing import Any

import click

from pvserve.cli.options import Shared, change_options, cluster_options, force_option, request_options, spec_options


@click.command()
@spec_options
@force_option
@change_options
@request_options
@click.option(
    "--parallel", type=click.IntRange(1, 32), default=2, show_default=True, help="Models carried out at a time."
)
@cluster_options
def command(
    shared: Shared,
    parallel: int,
    dry_run: bool,
    yes: bool,
    request_path: str | None,
    request_body: str | None,
    token_file: str | None,
    **flags: Any,
) -> int:
    """Plan, show, load, serve and prove. SOURCE is a model directory, or a plan.json that `plan --out` wrote.

    Of several models each is carried out for itself, those of one claim one after the other; one that fails stops no
    other, and the exit code is the most serious.
    """
    from pvserve.cli.carry import carry_out, members_of
    from pvserve.cli.many import carry_out_many
    from pvserve.cli.requests import request_of

    request = request_of(request_path, request_body, token_file)
    members = members_of(shared, flags)
    if len(members) == 1 and members[0].planned:
        return carry_out(shared, members[0].cluster, members[0].planned, dry_run=dry_run, yes=yes, request=request)
    return carry_out_many(shared, members, dry_run=dry_run, yes=yes, parallel=parallel, request=request)
