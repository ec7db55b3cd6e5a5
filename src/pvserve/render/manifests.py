"""The objects of a plan as one YAML file.

Owns which objects are written, their order, and the words on what is not.
"""

from __future__ import annotations

from pvserve.plan.steps import ApplyObject, Plan
from pvserve.render.scalars import dump_all


def manifests(plan: Plan) -> dict[str, str]:
    """One file with every object that the plan applies."""
    return {f"{plan.service}.yaml": dump_all(step.object for step in plan.steps if isinstance(step, ApplyObject))}
