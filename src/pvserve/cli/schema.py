"""`pvserve schema`: the JSON Schema of model.yaml."""

from __future__ import annotations

import json

import click


@click.command()
def command() -> int:
    """Print the JSON Schema of model.yaml, for editors and checks."""
    from pvserve.spec import schema

    print(json.dumps(schema(), indent=2))
    return 0
