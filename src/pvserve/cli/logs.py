"""`pvserve logs`: what a Job that fetches says."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, cluster_options


@click.command()
@click.argument("place")
@click.option("--lines", type=click.IntRange(min=1), default=20, show_default=True, help="So many of the last lines.")
@cluster_options
def command(shared: Shared, place: str, lines: int) -> int:
    """Show the last lines of the Job that fetches to PLACE, pvc://CLAIM/PATH: one JSON object each."""
    from pvserve.spec.place import parse_target

    where = parse_target(place)
    from pvserve.api.fetching import place_log

    text = place_log(where, shared.connect(), lines=lines)
    shared.print({"place": str(where), "lines": text.splitlines()}, text)
    return 0
