"""`pvserve init`: a model.yaml from what the UI made."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, cluster_options


@click.command()
@click.argument("name")
@cluster_options
def command(shared: Shared, name: str) -> int:
    """Write a model.yaml from InferenceService NAME to stdout."""
    from pvserve import api

    print(api.init(name, shared.connect()), end="")
    return 0
