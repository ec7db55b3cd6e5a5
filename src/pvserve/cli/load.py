"""`pvserve load`: bytes only."""

from __future__ import annotations

from typing import Any

import click

from pvserve.cli.options import Shared, cluster_options, confirm


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--retain", type=click.Choice(["auto", "class", "volume", "no"]), help="How the data is kept.")
@click.option("--storage-class", help="StorageClass of a new claim.")
@click.option("--access-mode", help="Access mode of a new claim.")
@click.option("--size", help="Size of a new claim; default: from the model's bytes.")
@click.option("--image", help="Image of the loader pod; default: one the cluster has.")
@click.option("--via", type=click.Choice(["auto", "pod", "port-forward", "exec"]), help="Channel for the bytes.")
@click.option("--replace", is_flag=True, default=None, help="Allow other content where a model lies already.")
@click.option("--include", multiple=True, help="Only files that match this pattern.")
@click.option("--exclude", multiple=True, help="Leave out files that match this pattern.")
@click.option("--checksum", is_flag=True, help="Read every byte again instead of trusting the digest cache.")
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options
def command(shared: Shared, target: str, dry_run: bool, yes: bool, **flags: Any) -> int:
    """Bring model directory SOURCE to TARGET, pvc://CLAIM[/PATH]."""
    from pvserve.cli.carry import carry_out, planned_models
    from pvserve.spec.place import parse_target

    place = parse_target(target)
    flags |= {"claim": place.claim, "path": place.path, "name": place.claim}
    for cluster, planned in planned_models(shared, flags, goals=frozenset({"load"})):
        return carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes, confirm=confirm)
    return 0
