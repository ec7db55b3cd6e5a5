"""`pvserve serve`: serving objects only."""

from __future__ import annotations

from typing import Any

import click

from pvserve.cli.options import Shared, cluster_options, confirm


@click.command()
@click.argument("name")
@click.option("-f", "--file", "file", help="Model file; '-' reads stdin.")
@click.option("--from", "origin", help="InferenceService to start from: NAME or NAMESPACE/NAME.")
@click.option("--runtime", help="ServingRuntime or ClusterServingRuntime, where there is no --from.")
@click.option("--format", "model_format", help="Model format, where there is no --from.")
@click.option("--claim", help="Claim that holds the model.")
@click.option("--path", help="Directory on the claim.")
@click.option("--in-place", is_flag=True, default=None, help="Edit the service instead of making a new one.")
@click.option("--timeout", type=int, help="Seconds to wait for the service to be Ready.")
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options
def command(shared: Shared, dry_run: bool, yes: bool, **flags: Any) -> int:
    """Make InferenceService NAME for a model that lies on a claim already."""
    from pvserve.cli.carry import carry_out, planned_models

    for cluster, planned in planned_models(shared, flags, goals=frozenset({"serve"})):
        return carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes, confirm=confirm)
    return 0
