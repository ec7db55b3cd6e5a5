"""`pvserve cancel`: end a load that the cluster does itself."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, cluster_options, confirm


@click.command()
@click.argument("place")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options
def command(shared: Shared, place: str, yes: bool) -> int:
    """End the Job that fetches to PLACE, pvc://CLAIM/PATH. What it fetched stays, and the next load goes on there."""
    from pvserve.spec.place import parse_target

    where = parse_target(place)
    from pvserve.api.fetching import cancel

    confirm(f"End the Job that fetches to {where}?", yes=yes)
    job = cancel(where, shared.connect())
    shared.print({"place": str(where), "cancelled": job}, f"Job {job} is removed\n")
    return 0
