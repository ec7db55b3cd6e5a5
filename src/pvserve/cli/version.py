"""`pvserve version`."""

from __future__ import annotations

import json

import click

from pvserve import __version__


@click.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(output: str) -> int:
    """Print the version."""
    print(json.dumps({"version": __version__}) if output == "json" else __version__)
    return 0
