"""`pvserve rm`: a model goes from its claim."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, cluster_options
from pvserve.errors import UsageError


@click.command()
@click.argument("place")
@click.option("--name", default="", metavar="PATH", help="The path again, to remove what pvserve did not put there.")
@click.option("--all", "everything", is_flag=True, help="Also what was replaced at the path and kept for rollback.")
@click.option("--image", default="", help="Image of the pod that removes it; default: one the cluster has.")
@change_options
@cluster_options
def command(shared: Shared, place: str, name: str, everything: bool, image: str, dry_run: bool, yes: bool) -> int:
    """Remove the model at PLACE, pvc://CLAIM/PATH, with its records. Refused while a service or a pod uses it."""
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out
    from pvserve.spec.place import parse_target

    if not parse_target(place).path:
        raise UsageError(
            "NotAPlace", f"{place} names no path: a whole claim is never removed", remedy=("write pvc://CLAIM/PATH",)
        )
    cluster = shared.connect()
    planned = volumes.rm(place, cluster, name=name, everything=everything, image=image)
    return carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes)
