"""`pvserve diff`: how the cluster differs from the model files."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pvserve.cli.options import Shared, cluster_options, spec_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pvserve.api.drifting import Compared
    from pvserve.show.several import Row


@click.command()
@spec_options
@click.option("--full", is_flag=True, help="Read every byte on the volume too, through a pod that mounts it read-only.")
@cluster_options
def command(shared: Shared, full: bool, **flags: Any) -> int:
    """Show what differs between the cluster and the model file: edited or missing objects, other content at the path.

    Fields that pvserve writes or the file states are compared, from what the cluster has to what the file says, and
    the model's content by what is recorded on the claim. Exits with 0 when nothing differs, 9 when something does, 10
    when nothing is known to but something could not be compared.
    """
    from pvserve.api.drifting import diff_many
    from pvserve.cli.specs import specs
    from pvserve.errors import most_serious

    found = specs(flags, namespace=shared.namespace)
    cluster = shared.connect(found[0].namespace if len(found) == 1 else None)
    checksum = bool(flags.get("checksum"))
    compared = diff_many(found, cluster, checksum=checksum, full=full, listen=shared.listener())
    if len({(each.error.reason, each.error.message) for each in compared if each.error}) == 1 and all(
        each.error for each in compared
    ):  # as when the cluster cannot be reached
        raise compared[0].error or AssertionError
    for each in compared:
        _show(shared, each, several=len(compared) > 1)
    rows = [_row(each) for each in compared]
    if len(rows) > 1:
        _summary(shared, rows)
    return most_serious(row.exit_code for row in rows)


def _show(shared: Shared, each: Compared, *, several: bool) -> None:
    from pvserve.apply.refusing import refusal_of
    from pvserve.show.drift import drift_text
    from pvserve.show.several import head_text
    from pvserve.show.words import colours

    whose = {"model": each.name, "namespace": each.namespace}
    head = head_text(each.name, each.namespace, colour=colours(sys.stdout)) if several else ""
    if each.drift is not None:
        value = {**whose, **asdict(each.drift), "drift": bool(each.drift.differences), "exitCode": each.drift.exit_code}
        shared.print(value, head + drift_text(each.drift, colour=colours(sys.stdout)) + ("\n" if several else ""))
    error = each.error or (refusal_of(each.drift.refusals) if each.drift else None)
    if error is None:
        return
    if not several:
        raise error
    if shared.out.for_machines:
        shared.out.say("error", {**whose, **error.as_dict()})
    elif each.drift is None:
        print(head + f"error ({error.reason}): {error.message}", flush=True)


def _row(each: Compared) -> Row:
    from pvserve.apply.refusing import refusal_of
    from pvserve.show.several import Row

    error = each.error or (refusal_of(each.drift.refusals) if each.drift else None)
    if error is not None or each.drift is None:
        message, code, reason = (error.message, error.exit_code, error.reason) if error else ("", 1, "")
        return Row(each.name, each.namespace, "failed", message, code, reason)
    code = each.drift.exit_code
    state = {0: "same", 9: "differs"}.get(code, "unknown")
    words = [f"{len(each.drift.differences)} differences"] if each.drift.differences else []
    words += [f"{len(each.drift.unknown)} unknown"] if each.drift.unknown else []
    return Row(each.name, each.namespace, state, ", ".join(words), code)


def _summary(shared: Shared, rows: Sequence[Row]) -> None:
    from pvserve.errors import most_serious
    from pvserve.show.several import summary_text
    from pvserve.show.words import colours

    if shared.out.for_machines:
        code = most_serious(row.exit_code for row in rows)
        shared.out.say("summary", {"models": [row.as_dict() for row in rows], "exitCode": code})
    else:
        print(summary_text(rows, colour=colours(sys.stdout)), end="", flush=True)
