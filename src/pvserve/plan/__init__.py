"""(spec, facts, listing) -> Plan: what will be done, what will not, and why; the edits of objects and their diff.

Owns all decisions that are made before anything changes. Must not read or change anything.
"""

from pvserve.plan.admission import with_admission
from pvserve.plan.build import build
from pvserve.plan.in_place import rollback_plan
from pvserve.plan.query import facts_query
from pvserve.plan.saved import plan_to_json, plans_from_json, plans_to_json
from pvserve.plan.steps import Plan

__all__ = [
    "Plan",
    "build",
    "facts_query",
    "plan_to_json",
    "plans_from_json",
    "plans_to_json",
    "rollback_plan",
    "with_admission",
]
