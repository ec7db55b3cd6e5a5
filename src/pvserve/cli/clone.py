"""`pvserve clone`: a claim with what another one holds."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options

MODES = {
    "RWO": "ReadWriteOnce",
    "RWX": "ReadWriteMany",
    "ROX": "ReadOnlyMany",
    "RWOP": "ReadWriteOncePod",
}


@click.command()
@click.argument("claim")
@click.argument("new")
@click.option(
    "--access-mode",
    type=click.Choice([*MODES, *MODES.values()]),
    help="Access mode of the clone, as ROX for many nodes; default: that of CLAIM.",
)
@click.option("--storage-class", help="Another class of the same driver, through a snapshot; default: that of CLAIM.")
@click.option("--snapshot", is_flag=True, help="Through a VolumeSnapshot, also where the driver clones.")
@click.option("--try", "attempt", is_flag=True, help="Also with a driver of which nobody knows whether it clones.")
@change_options
@cluster_options
def command(
    shared: Shared,
    claim: str,
    new: str,
    access_mode: str | None,
    storage_class: str | None,
    snapshot: bool,
    attempt: bool,
    **change: bool,
) -> int:
    """Make claim NEW with what CLAIM holds now: the storage system does it, no byte passes here."""
    checked_name(claim, "CLAIM")
    checked_name(new, "NEW")
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out
    from pvserve.plan.lifecycle.cloning import Asked

    cluster = shared.connect()
    mode = MODES.get(access_mode or "", access_mode or "")
    asked = Asked(mode, storage_class or "", snapshot, attempt)
    planned = volumes.clone(claim, new, cluster, asked)
    return carry_out(shared, cluster, planned, dry_run=change["dry_run"], yes=change["yes"])
