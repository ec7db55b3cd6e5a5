"""Several pods for one load: an Indexed Job, each pod of which fetches its share.

Owns what that Job is more than another, and where there can be none. Pure.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
"""

from __future__ import annotations

from typing import Any

from pvserve.facts import Facts, known, name
from pvserve.plan.claim import access_modes
from pvserve.plan.loading import LOADER_LABEL
from pvserve.plan.part import Part, refused
from pvserve.plan.sizing import access_mode, default_class
from pvserve.plan.source import Source
from pvserve.spec.model import ModelSpec

MANY = "ReadWriteMany"
SHARDS = "shards"  # in what the program is asked


def shards_part(spec: ModelSpec, facts: Facts, source: Source) -> Part:
    """A refusal where the source comes as one, or the claim is, or will be, of one node at a time."""
    if spec.fetch.shards == 1:
        return Part()
    if source.packed:
        return refused(
            "ShardsNeedFiles",
            f"{source.words} comes as one: its files are only known as they are unpacked, so that "
            f"{spec.fetch.shards} pods could not divide them",
            "leave out --shards",
            code=2,
        )
    modes = _modes(spec, facts)
    if MANY in modes:
        return Part()
    return refused(
        "ShardsNeedSharedClaim",
        f"claim {spec.claim.name} is {', '.join(modes) or 'of no known access mode'}: one node at a time writes to it, "
        f"and {spec.fetch.shards} pods there would share its network",
        "leave out --shards",
        "or name a claim that is ReadWriteMany, as --access-mode ReadWriteMany --storage-class CLASS make one",
    )


def shared_out(job: dict[str, Any], shards: int) -> None:
    """Make the Job one of several pods, on different nodes where there are some."""
    if shards == 1:
        return
    spec = job["spec"]
    spec |= {"completionMode": "Indexed", "completions": shards, "parallelism": shards}
    spec["backoffLimit"] = spec["backoffLimit"] * shards
    spec["template"]["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {LOADER_LABEL: job["metadata"]["labels"][LOADER_LABEL]}},
        }
    ]


def _modes(spec: ModelSpec, facts: Facts) -> tuple[str, ...]:
    """Those of the claim, or of the one to be."""
    if isinstance(facts.claim.object, dict):
        return access_modes(facts.claim.object)
    if spec.claim.access_mode:
        return (spec.claim.access_mode,)
    classes, wanted = known(facts.storage_classes, ()), spec.claim.storage_class
    named = next((item for item in classes if name(item) == wanted), None)
    return (access_mode(named if wanted else default_class(classes))[0],)
