"""The command `bed`.

Owns its flags and the one place that catches BedError.
"""

from __future__ import annotations

import sys
import time

import click

from bed import cluster, components, environment, readiness
from bed.errors import BedError
from bed.nodes import NODES
from bed.settings import settings


def say(text: str) -> None:
    """Progress goes to stderr, so that stdout stays for results."""
    print(text, file=sys.stderr, flush=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def root() -> None:
    """A real local Kubernetes for pvserve's demo and tests. See docs/bed.md."""


@root.command()
@click.option("--kserve", type=click.Choice(["emulator", "none"]), help="A new bed has the emulator.")
@click.option("--nodes", type=click.IntRange(1, len(NODES)), help="How many nodes; a new bed has 1.")
@click.option("--with", "extras", multiple=True, type=click.Choice(sorted(cluster.EXTRAS)), help="More images.")
@click.option("--volumes-dir", help="Directory for the volumes' files, such as a tmpfs for benchmarks.")
def up(kserve: str | None, nodes: int | None, extras: tuple[str, ...], volumes_dir: str | None) -> None:
    """Build what is not cached, start everything, and wait until it is ready."""
    start = time.monotonic()
    bed = settings(volumes_dir)
    cluster.up(bed, kserve=kserve, nodes=nodes, extras=extras, say=say)
    say(f"up in {time.monotonic() - start:.0f} s")
    print(f"export KUBECONFIG={bed.kubeconfig}")


@root.command()
def down() -> None:
    """End everything; leaves no process, mount, loop device, interface or rule."""
    cluster.down(settings(), say)


@root.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def status(output: str) -> None:
    """Show what runs; exits with 0 only when everything is ready."""
    state = readiness.status(settings())
    print(readiness.status_json(state) if output == "json" else readiness.status_text(state))
    sys.exit(0 if state["ready"] else 1)


@root.command()
@click.option("--with", "extras", multiple=True, type=click.Choice(sorted(cluster.EXTRAS)), help="More images.")
def build(extras: tuple[str, ...]) -> None:
    """Build binaries and images into the cache; start nothing."""
    cluster.build_all(settings(), extras, say)


@root.command()
def kubeconfig() -> None:
    """Print the path of the administrator's kubeconfig."""
    print(settings().kubeconfig)


@root.command()
def env() -> None:
    """Print what the cluster tests need, for a shell: eval "$(bed env)"."""
    print(environment.as_exports(environment.variables(settings())))


def _component(action: str) -> click.Command:
    @click.command(action, help=f"{action.capitalize()} one component, for fault tests.")
    @click.argument("name", type=click.Choice(components.COMPONENTS))
    def command(name: str) -> None:
        cluster.component(settings(), action, name, say)

    return command


for _action in ("start", "stop", "restart"):
    root.add_command(_component(_action))


def main() -> None:
    """Runs one command; a BedError becomes one sentence and exit code 1."""
    try:
        root.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except BedError as error:
        say(f"error: {error.message}")
        if error.remedy:
            say(f"  -> {error.remedy}")
        sys.exit(1)


if __name__ == "__main__":
    main()
