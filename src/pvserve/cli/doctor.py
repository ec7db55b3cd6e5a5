"""`pvserve doctor`: what is wrong, and what to do."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pvserve.cli.options import Shared, checked_name, cluster_options

if TYPE_CHECKING:
    from pvserve.diagnose import Finding


@click.command()
@click.argument("name", required=False)
@cluster_options
def command(shared: Shared, name: str | None) -> int:
    """Say what is wrong with service NAME, or with all of the namespace and its loads: cause, evidence, remedy.

    Exits with 0 when they are Ready and no load is suspended, 1 when not, 10 when something could not be read.
    """
    if name is not None:
        checked_name(name, "NAME")
    from pvserve.api import looking
    from pvserve.show.findings import findings_text
    from pvserve.show.words import colours

    cluster = shared.connect()
    found = {each: looking.diagnose(each, cluster) for each in ([name] if name else looking.services(cluster))}
    loads = () if name else looking.diagnose_loads(cluster)
    colour = colours(sys.stdout)
    texts = [findings_text(each, findings, colour=colour) for each, findings in found.items()]
    texts = texts or [f"namespace {cluster.namespace} has no InferenceService\n"]
    texts += [findings_text("loads", loads, colour=colour)] if loads else []
    rows = [{"service": each, "findings": [asdict(item) for item in findings]} for each, findings in found.items()]
    shared.print({"services": rows, **({} if name else {"loads": [asdict(item) for item in loads]})}, "\n".join(texts))
    codes = [*(_exit_code(findings) for findings in found.values()), _exit_code_of_loads(loads)]
    return max(codes, key=(0, 10, 1).index)


def _exit_code(findings: tuple[Finding, ...]) -> int:
    """docs/exit-codes.md: never 0 when something is unknown."""
    codes = {item.code for item in findings}
    if "Healthy" not in codes:
        return 1
    return 10 if "NotReadable" in codes else 0


def _exit_code_of_loads(loads: tuple[Finding, ...]) -> int:
    """As of a service; nothing found is nothing wrong."""
    codes = {item.code for item in loads}
    return 1 if codes - {"NotReadable"} else 10 if codes else 0
