"""`pvserve release`: a claim is given up, its data is not."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options


@click.command()
@click.argument("claim")
@change_options
@cluster_options
def command(shared: Shared, claim: str, dry_run: bool, yes: bool) -> int:
    """Delete CLAIM, which nobody may use any more; its volume is retained first, and stays with the data."""
    checked_name(claim, "CLAIM")
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    return carry_out(shared, cluster, volumes.release(claim, cluster), dry_run=dry_run, yes=yes)
