"""`pvserve verify`: the proof, any time."""

from __future__ import annotations

import sys

import click

from pvserve.cli.options import Shared, checked_name, cluster_options, request_options


@click.command()
@click.argument("target")
@click.option("--quick", is_flag=True, help="Compare names and sizes instead of reading every byte again.")
@request_options
@cluster_options
def command(
    shared: Shared,
    target: str,
    quick: bool,
    request_path: str | None,
    request_body: str | None,
    token_file: str | None,
) -> int:
    """Prove that service TARGET serves straight from its claim, or that pvc://CLAIM/PATH holds its model."""
    from pvserve.spec.place import SCHEME, parse_place

    if target.startswith(SCHEME):
        parse_place(target)
    else:
        checked_name(target, "TARGET")
    from pvserve.api import models
    from pvserve.cli.requests import request_of
    from pvserve.show.proof import proof_text
    from pvserve.show.words import colours

    proof = models.verify(
        target,
        shared.connect(),
        level="quick" if quick else "full",
        request=request_of(request_path, request_body, token_file),
        listen=shared.listener(),
    )
    shared.print({"proof": proof.as_dict()}, proof_text(proof, colour=colours(sys.stdout)))
    return proof.exit_code
