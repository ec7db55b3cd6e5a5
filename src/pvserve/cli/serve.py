"""`pvserve serve`: serving objects only."""

from __future__ import annotations

from typing import Any

import click

from pvserve.cli.options import Shared, change_options, cluster_options, request_options, serve_options


@click.command()
@click.argument("name")
@serve_options
@change_options
@request_options
@cluster_options
def command(
    shared: Shared,
    dry_run: bool,
    yes: bool,
    request_path: str | None,
    request_body: str | None,
    token_file: str | None,
    **flags: Any,
) -> int:
    """Make InferenceService NAME for a model that lies on a claim already, and prove it."""
    from pvserve.cli.carry import carry_out, planned_models
    from pvserve.cli.requests import request_of

    request = request_of(request_path, request_body, token_file)
    ((cluster, planned),) = planned_models(shared, flags, goals=frozenset({"serve"}))
    return carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes, request=request)
