"""`pvserve unshare`: a share is taken away."""

from __future__ import annotations

from dataclasses import replace

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options


@click.command()
@click.argument("share", metavar="[NAMESPACE/]CLAIM")
@change_options
@cluster_options
def command(shared: Shared, share: str, dry_run: bool, yes: bool) -> int:
    """Delete the claim that `share` made, and its volume; the data stays where it is."""
    where, _, claim = share.rpartition("/")
    if where:
        checked_name(where, "NAMESPACE")
    checked_name(claim, "CLAIM")
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out

    cluster = (replace(shared, namespace=where) if where else shared).connect()
    return carry_out(shared, cluster, volumes.unshare(claim, cluster), dry_run=dry_run, yes=yes)
