"""`pvserve retain`: the data outlives its claim."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options


@click.command()
@click.argument("claim")
@click.option("--undo", is_flag=True, help="Give the volume the policy back that it had.")
@change_options
@cluster_options
def command(shared: Shared, claim: str, undo: bool, dry_run: bool, yes: bool) -> int:
    """Set Retain on the volume of CLAIM, so that the data stays when the claim is deleted."""
    checked_name(claim, "CLAIM")
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    return carry_out(shared, cluster, volumes.retain(claim, cluster, undo=undo), dry_run=dry_run, yes=yes)
