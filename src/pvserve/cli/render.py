"""`pvserve render`: the plan as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pvserve.cli.options import Shared, cluster_options, spec_options


@click.command()
@spec_options
@click.option("--to", "form", type=click.Choice(["yaml", "kustomize"]), default="yaml", show_default=True)
@click.option("--dir", "directory", type=click.Path(file_okay=False), help="Write files here instead of stdout.")
@cluster_options
def command(shared: Shared, form: str, directory: str | None, **flags: Any) -> int:
    """Write the objects of the plan as files for GitOps; byte for byte the same for the same plan."""
    from pvserve.apply.run import refuse
    from pvserve.cli.carry import planned_models
    from pvserve.errors import UsageError
    from pvserve.render import render

    if form != "yaml" and not directory:
        raise UsageError("Usage", f"--to {form} writes several files", remedy=("add --dir DIRECTORY",))
    for _, planned in planned_models(shared, flags):
        refuse(planned.plan)
        files = render(planned.plan, form)
        if directory is None:
            print("".join(files.values()), end="")
            continue
        for name, text in files.items():
            file = Path(directory, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            print(file)
    return 0
