"""`pvserve rollback`: the way back."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, cluster_options, confirm


@click.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options
def command(shared: Shared, name: str, dry_run: bool, yes: bool) -> int:
    """Take service NAME back to what it was before pvserve. The claim and its data stay."""
    from pvserve import api
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    return carry_out(shared, cluster, api.rollback(name, cluster), dry_run=dry_run, yes=yes, confirm=confirm)
