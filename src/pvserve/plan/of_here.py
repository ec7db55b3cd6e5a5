"""What of the environment of the client's machine a pod that fetches is given: private CAs, a workbench's proxy.

Owns its place in an order, and its words. Pure. It is in no rendered file: those are the same wherever they are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvserve.facts import Facts
from pvserve.spec.model import ModelSpec

GIVEN = "given"


def given(facts: Facts) -> dict[str, Any]:
    """The order's part, {} where there is nothing to give."""
    here = facts.surroundings
    if not here.certificates and not here.proxies:
        return {}
    return {GIVEN: {"ca": here.certificates, "proxies": dict(here.proxies), "noProxy": here.no_proxy}}


def without_given(order: Mapping[str, Any]) -> dict[str, Any]:
    """The order as it is from any machine."""
    return {key: value for key, value in order.items() if key != GIVEN}


def notes_of_here(spec: ModelSpec, facts: Facts) -> list[str]:
    """What the Job is given, and what not, for the plan."""
    here = facts.surroundings
    notes = list(here.left_out) if not spec.fetch.proxy else []
    if here.certificates:
        notes.append(f"the Job also trusts the private CAs that {' and '.join(here.named_by)} name here")
    if here.proxies and not spec.fetch.proxy:
        notes.append(f"the Job uses the proxy of this pod: {' and '.join(sorted(set(here.proxies.values())))}")
    return notes
