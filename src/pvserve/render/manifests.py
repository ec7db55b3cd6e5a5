"""The objects of a plan as one YAML file for `kubectl apply -f`.

Owns the file's name and layout.
"""

from __future__ import annotations

from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.objects import objects_of
from pvserve.render.scalars import dump_all


def manifests(plan: Plan) -> dict[str, str]:
    """One file, named after the service: the comment, then every object."""
    objects = objects_of(plan)
    return {f"{plan.service or plan.claim}.yaml": header(plan) + (dump_all(objects) if objects else "")}
