"""`pvserve ls`: claims and the models on them."""

from __future__ import annotations

from dataclasses import asdict

import click

from pvserve.cli.options import Shared, cluster_options


@click.command()
@click.option("-A", "--all-namespaces", is_flag=True, help="Every namespace that can be read.")
@cluster_options
def command(shared: Shared, all_namespaces: bool) -> int:
    """List claims that hold models or are served from, and Released volumes that hold models."""
    from pvserve.api import volumes
    from pvserve.show.inventory import inventory_text

    rows = volumes.ls(shared.connect(), all_namespaces=all_namespaces)
    shared.print({"claims": [asdict(row) for row in rows]}, inventory_text(rows))
    return 0
