"""A plan held against the server's dry run.

Owns what every command plans with. Must not know which plan it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pvserve.cluster import Cluster
from pvserve.errors import PvserveError, Temporary
from pvserve.facts import Object
from pvserve.model import Listing
from pvserve.plan import with_admission
from pvserve.plan.steps import ApplyObject, PatchObject, Plan, Refusal


@dataclass(frozen=True)
class Planned:
    """A plan with the model directory it was made for."""

    plan: Plan
    listing: Listing | None


def admitted(made: Plan, cluster: Cluster, listing: Listing | None = None) -> Planned:
    """`made` with what admission would do to its objects. Raises Temporary when the server cannot be asked."""
    return Planned(made if made.refusals else with_admission(made, _dry_run(cluster, made)), listing)


def _dry_run(cluster: Cluster, made: Plan) -> Mapping[str, Object | Refusal]:
    """What the server would store for each object of the plan, or why it would not."""
    out: dict[str, Object | Refusal] = {}
    for step in made.steps:
        try:
            if isinstance(step, ApplyObject) and (step.changes or step.before is None):  # else it is as it should be
                out[step.id] = cluster.apply(step.object, dry_run=True, force=step.force)
            elif isinstance(step, PatchObject):
                target = step.target
                out[step.id] = cluster.patch(
                    target.api_version, target.kind, target.name, target.namespace, step.patch, dry_run=True
                )
        except Temporary:
            raise
        except PvserveError as error:
            out[step.id] = Refusal(error.reason, error.message, error.remedy, 4 if error.exit_code == 4 else 3)
    return out
