"""`pvserve gc`: what nobody refers to any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options
from pvserve.cli.saying import say_error
from pvserve.errors import Interrupted, PvserveError, UsageError, most_serious

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
    from pvserve.cluster.leftovers import namespaces_with_traces

    def collected(here: Shared) -> int:
        return _collected(here, claim or "", timedelta(hours=older_than), image, dry_run=dry_run, yes=yes)

    if not all_namespaces:
        return collected(shared)
    codes = []
    for where in namespaces_with_traces(shared.connect()):
        try:
            codes.append(collected(replace(shared, namespace=where)))
        except Interrupted:
            raise
        except PvserveError as error:  # one namespace that may not be read, or goes meanwhile, stops no other
            codes.append(say_error(shared, error, where))
    return most_serious(codes)


def _collected(shared: Shared, claim: str, older_than: timedelta, image: str, *, dry_run: bool, yes: bool) -> int:
    """One namespace: its leftovers are shown and removed."""
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    planned = volumes.gc(cluster, claim=claim, older_than=older_than, image=image, listen=shared.listener())
    code = carry_out(shared, cluster, planned, dry_run=dry_run, yes=yes)
    unseen = any("not looked at" in item.why for item in planned.plan.not_done)
    return most_serious((code, UNKNOWN_EXIT)) if unseen else code
