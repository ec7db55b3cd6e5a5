"""`pvserve share`: one volume's data in another namespace too."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options


@click.command()
@click.argument("claim")
@click.option("--to", required=True, metavar="NAMESPACE", help="Namespace that is to have the data.")
@click.option("--name", default="", help="Name of the claim there; default: the same name.")
@change_options
@cluster_options
def command(shared: Shared, claim: str, to: str, name: str, dry_run: bool, yes: bool) -> int:
    """Make a read-only claim in another namespace with the very data of CLAIM: no byte is copied."""
    checked_name(claim, "CLAIM")
    checked_name(to, "--to")
    if name:
        checked_name(name, "--name")
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    return carry_out(shared, cluster, volumes.share(claim, to, cluster, name=name), dry_run=dry_run, yes=yes)
