"""`pvserve status`: one service, now."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from pvserve.cli.options import Shared, checked_name, cluster_options


@click.command()
@click.argument("name")
@cluster_options
def command(shared: Shared, name: str) -> int:
    """Show service NAME: whether it is Ready, its objects and their states, its claim. Exits with 1 when not Ready."""
    checked_name(name, "NAME")
    from pvserve.api import looking
    from pvserve.show.status import status_text
    from pvserve.show.words import colours

    state = looking.status(name, shared.connect())
    text = status_text(name, state.ready, state.uri, state.lines, colour=colours(sys.stdout))
    shared.print({"service": name, **asdict(state)}, text)
    return 0 if state.ready else 1
