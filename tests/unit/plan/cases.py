"""Small fact files: what a user asked for, what the cluster was, and the model directory, as one YAML document."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from pvserve.facts import ClaimFacts, Facts, Holder, KServeFacts, NamespaceFacts, Right, Unknown
from pvserve.model import Entry, Found, Listing, Manifest
from pvserve.plan import facts_query
from pvserve.plan.template import runtime_of
from pvserve.spec import ModelSpec

DIRECTORY = Path(__file__).parents[2] / "golden" / "plan"


class Case:
    """One fact file."""

    def __init__(self, file: Path) -> None:
        value = read(file)
        self.spec = ModelSpec.model_validate(value["spec"])
        self.goals = frozenset(value.get("goals", ["load", "serve"]))
        directory = value.get("directory")
        self.listing = listing(directory["files"]) if directory else None
        self.content = manifest(directory["files"]) if directory and directory.get("digests") else None
        self.facts = facts(value["facts"], self)


def read(file: Path) -> dict[str, Any]:
    """The file, laid over the one that it is `like`."""
    value = yaml.safe_load(file.read_text())
    return overlaid(read(DIRECTORY / value["like"]), value) if "like" in value else value


def overlaid(base: Any, over: Any) -> Any:
    """`over` laid over `base`; lists replace, null takes away."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    both = {**base, **{key: overlaid(base.get(key), value) for key, value in over.items()}}
    return {key: value for key, value in both.items() if value is not None}


def listing(files: dict[str, int]) -> Listing:
    found = tuple(
        Found(path, size, 1, 1, number, 1, False, f"/models/granite-7b-lab/{path}")
        for number, (path, size) in enumerate(sorted(files.items()))
    )
    return Listing(Path("/models/granite-7b-lab"), found, (".git/",), "fingerprint", "granite-7b-lab")


def manifest(files: dict[str, int]) -> Manifest:
    return Manifest(
        tuple(Entry(path, size, hashlib.sha256(path.encode()).hexdigest()) for path, size in sorted(files.items()))
    )


def facts(value: dict[str, Any], case: Case) -> Facts:
    """Facts as the file says; rights that it does not name are there."""
    denied = set(value.get("denied", ()))
    wanted: dict[Right, bool | Unknown] = {
        right: f"{right.verb} {right.resource}" not in denied
        for right in facts_query(case.spec, case.goals, value["namespace"]).rights
    }
    claim = dict(value.get("claim", {}))
    claim["holders"] = tuple(Holder(**item) for item in claim.get("holders") or ())
    claim = {key: unknown(tuple(item) if key in ("elsewhere", "nodes") else item) for key, item in claim.items()}
    named = {field.name for field in fields(Facts)} - {"claim", "namespace", "kserve", "rights", "server_version"}
    rest = {
        key: unknown(tuple(item) if isinstance(item, list) else item) for key, item in value.items() if key in named
    }
    if template := value.get("runtime_template"):
        rest["origin_runtime"] = runtime_of(template, case.spec.runtime or "")
    namespace = {"metadata": {"name": value["namespace"], **value.get("namespaceMetadata", {})}}
    return Facts(
        server_version="v1.34.4",
        namespace=NamespaceFacts(value["namespace"], None if value.get("noNamespace") else namespace),
        kserve=KServeFacts(
            **{"installed": True, "storage_initializer_image": "kserve/initializer:1"} | value.get("kserve", {})
        ),
        claim=ClaimFacts(case.spec.claim.name, **{"object": None, **claim}),
        rights=wanted,
        **rest,
    )


def unknown(item: Any) -> Any:
    """`unknown: why` in a file is a value that could not be read."""
    return Unknown(item["unknown"], "forbidden") if isinstance(item, dict) and set(item) == {"unknown"} else item
