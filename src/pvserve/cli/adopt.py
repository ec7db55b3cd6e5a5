"""`pvserve adopt`: a Released volume becomes a claim again."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, checked_name, checked_volume, cluster_options


@click.command()
@click.argument("volume")
@click.option("--claim", default="", help="Name of the claim to be; default: the one it had.")
@change_options
@cluster_options
def command(shared: Shared, volume: str, claim: str, dry_run: bool, yes: bool) -> int:
    """Make VOLUME, a Released PersistentVolume, a claim of the namespace; no other claim can win it."""
    checked_volume(volume)
    if claim:
        checked_name(claim, "--claim")
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    return carry_out(shared, cluster, volumes.adopt(volume, cluster, claim=claim), dry_run=dry_run, yes=yes)
