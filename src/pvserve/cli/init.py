"""`pvserve init`: a model.yaml from what the UI made."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, checked_name, cluster_options


@click.command()
@click.argument("name")
@cluster_options
def command(shared: Shared, name: str) -> int:
    """Write a model.yaml from InferenceService or LLMInferenceService NAME to stdout."""
    checked_name(name, "NAME")
    from pvserve.api import models

    text = models.init(name, shared.connect())
    shared.print({"modelFile": text}, text)
    return 0
