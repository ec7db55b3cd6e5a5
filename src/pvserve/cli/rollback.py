"""`pvserve rollback`: the way back."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options


@click.command()
@click.argument("name")
@change_options
@cluster_options
def command(shared: Shared, name: str, dry_run: bool, yes: bool) -> int:
    """Take service NAME back to what it was before pvserve. The claim and its data stay."""
    checked_name(name, "NAME")
    from pvserve.api import models
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    return carry_out(shared, cluster, models.rollback(name, cluster), dry_run=dry_run, yes=yes)
