"""`pvserve version`."""

from __future__ import annotations

import platform

import click

from pvserve.cli.options import output_option
from pvserve.cli.output import Output
from pvserve.version import __version__


@click.command()
@output_option
def command(output: str) -> int:
    """Print the version."""
    value = {"version": __version__, "python": platform.python_version(), "kubernetesClient": _client()}
    Output(output).result(value, f"{__version__}\n")
    return 0


def _client() -> str | None:
    """The version of the Kubernetes client library; None where it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("kubernetes")
    except PackageNotFoundError:
        return None
