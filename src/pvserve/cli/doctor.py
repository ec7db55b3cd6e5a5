"""`pvserve doctor`: what is wrong, and what to do."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from pvserve.cli.options import Shared, cluster_options


@click.command()
@click.argument("name")
@cluster_options
def command(shared: Shared, name: str) -> int:
    """Say what is wrong with service NAME: cause, evidence, remedy. Exits with 1 when something is."""
    from pvserve import api
    from pvserve.show.findings import findings_text
    from pvserve.show.words import colours

    found = api.diagnose(name, shared.connect())
    text = findings_text(name, found, colour=colours(sys.stdout))
    shared.print({"service": name, "findings": [asdict(item) for item in found]}, text)
    return 1 if any(item.severity == "fail" for item in found) else 0
