"""`pvserve status`: one service, or one load, now."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from pvserve.cli.options import Shared, checked_name, cluster_options


@click.command()
@click.argument("name")
@click.option("-F", "--follow", is_flag=True, help="Of a load: wait until it has ended, and exit as it does.")
@cluster_options
def command(shared: Shared, name: str, follow: bool) -> int:
    """Show service NAME: whether it is Ready, its objects and their states, its claim. Exits with 1 when not Ready.

    Or, of pvc://CLAIM/PATH, the model there, or how far the Job is that fetches one; exits with 1 while it does.
    """
    from pvserve.spec.place import SCHEME

    if name.startswith(SCHEME):
        return _of_place(shared, name, follow)
    checked_name(name, "NAME")
    if follow:
        from pvserve.errors import UsageError

        raise UsageError("Usage", "--follow is for a load: pvserve status pvc://CLAIM/PATH --follow")
    from pvserve.api import looking
    from pvserve.show.status import status_text
    from pvserve.show.words import colours

    state = looking.status(name, shared.connect())
    text = status_text(name, state.ready, state.uri, state.lines, colour=colours(sys.stdout))
    shared.print({"service": name, **asdict(state)}, text)
    return 0 if state.ready else 1


def _of_place(shared: Shared, name: str, follow: bool) -> int:
    from pvserve.spec.place import parse_target

    place = parse_target(name)
    from pvserve.api.fetching import follow_place, place_state
    from pvserve.cli.interrupts import cancelling
    from pvserve.show.status import fetch_text, place_text

    cluster = shared.connect()
    if follow:
        with cancelling() as cancel:
            state = follow_place(place, cluster, listen=shared.listener(), cancel=cancel)
    else:
        state = place_state(place, cluster)
    if state.done:
        text = place_text(state.place, state.manifest, state.source, (state.bytes, state.files))
    else:
        text = fetch_text(state.place, state.job, state.source, state.waiting, state.transfer)
    shared.print({"done": state.done, **asdict(state)}, text)
    return 0 if state.done else 1
