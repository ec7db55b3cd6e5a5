"""`pvserve gc`: what nobody refers to any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options
from pvserve.errors import UsageError

UNKNOWN_EXIT = 10


@click.command()
@click.argument("claim", required=False)
@click.option("-A", "--all-namespaces", is_flag=True, help="Every namespace with claims that hold models.")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="Partial transfers that nothing was written to for so long.",
)
@click.option("--image", default="", help="Image of the pods that look into claims; default: one the cluster has.")
@change_options
@cluster_options
def command(
    shared: Shared, claim: str | None, all_namespaces: bool, older_than: float, image: str, dry_run: bool, yes: bool
) -> int:
    """List leftovers of the namespace, or of CLAIM: partial transfers, what was replaced, pods, Leases and records.

    They go after the question, or with -y. Models, volumes and classes that nobody uses are only named.
    """
    if claim and all_namespaces:
        raise UsageError("Usage", "CLAIM names one claim, and -A means all namespaces", remedy=("leave one out",))
    if claim:
        checked_name(claim, "CLAIM")
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out
    from pvserve.cluster.leftovers import namespaces_with_traces

    first = shared.connect()
    wanted = namespaces_with_traces(first) if all_namespaces else (first.namespace,)
    codes = [0]
    for where in wanted:
        here = replace(shared, namespace=where)
        cluster = here.connect()
        age = timedelta(hours=older_than)
        planned = volumes.gc(cluster, claim=claim or "", older_than=age, image=image, listen=shared.listener())
        codes.append(carry_out(here, cluster, planned, dry_run=dry_run, yes=yes))
        if any("not looked at" in item.why for item in planned.plan.not_done):
            codes.append(UNKNOWN_EXIT)
    return max(codes)
