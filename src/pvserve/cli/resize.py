"""`pvserve resize`: more room on a claim."""

from __future__ import annotations

import click

from pvserve.cli.options import Shared, change_options, checked_name, cluster_options
from pvserve.errors import UsageError


@click.command()
@click.argument("claim")
@click.argument("size")
@click.option("--timeout", type=click.IntRange(min=1), default=300, show_default=True, help="Seconds to wait.")
@change_options
@cluster_options
def command(shared: Shared, claim: str, size: str, timeout: int, dry_run: bool, yes: bool) -> int:
    """Grow CLAIM to SIZE, as 20Gi, and wait until it is. A claim can never be made smaller."""
    checked_name(claim, "CLAIM")
    from pvserve.spec.quantity import claim_size

    try:
        claim_size(size)
    except ValueError as error:
        raise UsageError("NotASize", f"SIZE: {size!r:.100} {error}", subject="SIZE") from None
    from pvserve.api import volumes
    from pvserve.cli.carry import carry_out

    cluster = shared.connect()
    return carry_out(
        shared, cluster, volumes.resize(claim, size, cluster, timeout_seconds=timeout), dry_run=dry_run, yes=yes
    )
