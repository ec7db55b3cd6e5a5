"""`pvserve status`: one service, now."""

from __future__ import annotations

from dataclasses import asdict

import click

from pvserve.cli.options import Shared, cluster_options


@click.command()
@click.argument("name")
@cluster_options
def command(shared: Shared, name: str) -> int:
    """Show service NAME: whether it is Ready, its objects and their states, its claim. Exits with 1 when not Ready."""
    from pvserve import api
    from pvserve.show.words import clean

    state = api.status(name, shared.connect())
    lines = [f"{name}: {'Ready' if state.ready else 'not Ready'}", f"  served from {state.uri or 'unknown'}"]
    lines += [f"  {line.object}: {line.state} {line.reason}".rstrip() for line in state.lines]
    if not state.ready:
        lines.append(f"  -> pvserve doctor {name}")
    text = "\n".join(clean(line) for line in lines) + "\n"
    shared.print({"service": name, **asdict(state)}, text)
    return 0 if state.ready else 1
