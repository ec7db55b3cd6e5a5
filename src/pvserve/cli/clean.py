"""`pvserve clean`: Jobs that have fetched, or failed to, and that nobody came back for."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, cluster_options, confirm


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options
def command(shared: Shared, yes: bool) -> int:
    """Record what Jobs of the namespace have fetched, and remove those that have ended; those at work stay."""
    from dataclasses import asdict

    from pvserve.api.fetching import clean
    from pvserve.show.status import cleaned_text

    confirm("Remove the Jobs that have ended?", yes=yes)
    found = clean(shared.connect())
    shared.print({"jobs": [asdict(job) for job in found]}, cleaned_text(found))
    return 0
