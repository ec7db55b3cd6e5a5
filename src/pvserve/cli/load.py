"""`pvserve load`: bytes only."""

from __future__ import annotations

from typing import Any

import click

from pvserve.cli.options import Shared, change_options, cluster_options, load_options


@click.command()
@click.argument("source")
@click.argument("target")
@load_options
@click.option("--detach", is_flag=True, default=None, help="Of a Job that fetches: end once it runs.")
@change_options
@cluster_options
def command(shared: Shared, target: str, dry_run: bool, yes: bool, **flags: Any) -> int:
    """Bring SOURCE to TARGET, pvc://CLAIM[/PATH].

    SOURCE is a model directory, pvc://CLAIM/PATH of the same namespace, or what the cluster reads itself:
    s3://BUCKET/PREFIX, https://HOST/FILE, hf://ORG/MODEL[@REVISION],
    oci://REGISTRY/REPOSITORY[:TAG|@DIGEST].
    """
    from pvserve.spec.place import parse_target

    place = parse_target(target)
    from pvserve.cli.carry import carry_out, planned_models

    # A model file names a service; a load makes none, so any name that every namespace can take will do.
    flags |= {"claim": place.claim, "path": place.path or None, "name": "m"}
    ((cluster, planned),) = planned_models(shared, flags, goals=frozenset({"load"}))
    return carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes)
