"""The load of a plan as a Kubernetes Job, with the claim it loads to.

Owns the files' names and layout.
"""

from __future__ import annotations

from pvserve.facts import name
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.loading import before_load, load_of
from pvserve.render.scalars import dump, dump_all


def job(plan: Plan) -> dict[str, str]:
    """Two files: the program, which all models of a namespace share, and the claim with the Job."""
    load = load_of(plan, "job")
    made = load.job()
    return {
        load.program_file: dump(load.program),
        f"{plan.service or plan.claim}-load.yaml": header(plan, loads=f"Job {name(made)}")
        + dump_all([*before_load(plan), made]),
    }
