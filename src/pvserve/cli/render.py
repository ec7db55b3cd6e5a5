"""`pvserve render`: the plan as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pvserve.cli.options import Shared, checked_name, cluster_options, spec_options

# Of pvserve.render.FORMS, said again so that --help need not import it; a test compares them.
FORMS = ("yaml", "kustomize", "helm", "argocd", "job", "tekton", "kfp", "argo-workflows", "kserve-cache")


@click.command()
@spec_options
@click.option("--to", "form", type=click.Choice(FORMS), default="yaml", show_default=True, help="Form of the files.")
@click.option("--no-load", is_flag=True, help="The model is on the claim: write what serves it, and no load.")
@click.option("--repo", default="", help="argocd: URL of the Git repository that the files are put into.")
@click.option("--revision", default="HEAD", show_default=True, help="argocd: its branch, tag or commit.")
@click.option("--repo-path", default="", help="argocd: the directory in it that --dir stands for; default: its root.")
@click.option("--environment", default="", help="kustomize: name of the overlay; default: the namespace.")
@click.option("--dir", "directory", type=click.Path(file_okay=False), help="Write files here instead of stdout.")
@cluster_options
def command(shared: Shared, form: str, directory: str | None, **flags: Any) -> int:
    """Write the objects of the plan as files for GitOps; byte for byte the same for the same plan."""
    from pvserve.cli.files import write_text
    from pvserve.errors import UsageError

    if form != "yaml" and directory is None and not shared.out.for_machines:
        raise UsageError("Usage", f"--to {form} writes several files", remedy=("add --dir DIRECTORY",))
    files = _rendered(shared, form, flags)
    for name, text in files.items() if directory is not None else ():
        write_text(Path(directory or "", name), text)
    if directory is None:
        shared.print({"files": files}, "".join(files.values()))
    else:
        written = [str(Path(directory, name)) for name in files]
        shared.print({"written": written}, "".join(f"{name}\n" for name in written))
    return 0


def _rendered(shared: Shared, form: str, flags: dict[str, Any]) -> dict[str, str]:
    """The files of all models; none is written before all are known."""
    from pvserve.api.gathering import GOALS
    from pvserve.cli.carry import members_of
    from pvserve.errors import UsageError
    from pvserve.plan.afresh import FILES
    from pvserve.plan.model_cache import CACHE
    from pvserve.render import Options, render

    environment = flags.pop("environment")
    if environment:
        checked_name(environment, "--environment")
    options = Options(flags.pop("repo"), flags.pop("revision"), flags.pop("repo_path"), environment)
    no_load, cached = flags.pop("no_load"), form == CACHE
    if no_load and cached:
        raise UsageError("Usage", f"--to {CACHE} is a load: --no-load leaves nothing of it", remedy=("use --to yaml",))
    goals = (GOALS - {"load"} if no_load else GOALS) | {FILES} | ({CACHE} if cached else set())
    files: dict[str, str] = {}
    for member in members_of(shared, flags, goals=goals):
        if member.error or member.planned is None:
            raise member.error or AssertionError
        made = render(member.planned.plan, form, options)
        twice = [name for name in made if files.get(name, made[name]) != made[name]]
        if twice:
            raise UsageError(
                "Usage",
                f"two models would be written to {twice[0]}",
                remedy=("give them different names, or render them one by one into directories of their own",),
            )
        files |= made
    return files
