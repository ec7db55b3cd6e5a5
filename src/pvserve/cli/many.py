"""Several models in one run, as plan and deploy show them.

Owns the order in which a person sees plans, progress, outcomes and the summary, and the exit code of them all.
Decides nothing about clusters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from pvserve.api.many import Member, Result, Watching, apply_many
from pvserve.cli import interrupts
from pvserve.cli.carry import outcome_forms
from pvserve.cli.options import Shared, confirm
from pvserve.errors import Interrupted, PvserveError, most_serious
from pvserve.plan import plan_to_json
from pvserve.show.errors import error_text
from pvserve.show.plan import plan_text
from pvserve.show.several import Row, head_text, several, summary_text
from pvserve.show.words import colours
from pvserve.verify.endpoint import Request


def show_plans(shared: Shared, members: Sequence[Member], kind: str = "result") -> None:
    """Every plan under its model's name, and what is wrong where there is none or it is refused."""
    for member in members:
        plan = member.planned.plan if member.planned else None
        if not shared.out.for_machines:
            print(head_text(_label(member, members), member.cluster.namespace, colour=colours(sys.stdout)), end="")
        if plan is not None and shared.out.for_machines:
            value = {"plan": json.loads(plan_to_json(plan)), "changesPending": plan.changes_pending}
            shared.out.say(kind, {**_whose(member), **value})
        elif plan is not None:
            print(plan_text(plan, colour=colours(sys.stdout)), flush=True)
        if member.error is not None and (member.failure or shared.out.for_machines):
            _show_error(shared, member, member.error)


def summary_of_plans(shared: Shared, members: Sequence[Member], pending_exit: int) -> int:
    """One line per model and the exit code of all; `pending_exit` is that of one with changes pending."""
    rows = []
    for member in members:
        error, plan = member.error, member.planned.plan if member.planned else None
        if error is not None:
            rows.append(_failed(member, members, error, "refused" if plan else "failed"))
        elif plan is not None:
            words = f"{len(plan.steps)} steps" if plan.changes_pending else "nothing to change"
            state, code = ("pending", pending_exit) if plan.changes_pending else ("ok", 0)
            rows.append(Row(_label(member, members), member.cluster.namespace, state, words, code))
    return _summary(shared, rows)


def carry_out_many(
    shared: Shared,
    members: Sequence[Member],
    *,
    dry_run: bool,
    yes: bool,
    parallel: int,
    request: Request | None = None,
) -> int:
    """Shows the plans, asks once, carries out those that can be, side by side; returns the most serious exit code."""
    show_plans(shared, members, "result" if dry_run else "plan")
    if dry_run:
        return summary_of_plans(shared, members, 0)
    able = [member for member in members if member.error is None]
    changing = [member for member in able if member.planned and member.planned.plan.changes_pending]
    if changing:
        others = len(members) - len(able)
        left = f"; {others} cannot be and {'is' if others == 1 else 'are'} left out" if others else ""
        confirm(f"Carry out the plans of {len(changing)} of {len(members)} models{left}?", yes=yes)
    board = several(sys.stdout if shared.output == "json" else sys.stderr, as_json=shared.output == "json")

    def done(result: Result) -> None:
        if result.member.error is None:  # else it was said with its plan
            with board.printing():
                _show_result(shared, members, result)

    with interrupts.cancelling() as cancel:
        watching = Watching(lambda member: board.listener(_label(member, members)), done, cancel)
        results = apply_many(members, watching, parallel=parallel, request=request)
    code = _summary(shared, [_row(result, members) for result in results])
    return interrupts.exit_code() if code == Interrupted.exit_code else code


def _show_result(shared: Shared, members: Sequence[Member], result: Result) -> None:
    member = result.member
    if result.error is not None:
        _show_error(shared, member, result.error, _label(member, members))
        return
    assert result.outcome is not None
    value, text = outcome_forms(result.outcome.plan, result.outcome)
    if not shared.out.for_machines:
        text = head_text(_label(member, members), member.cluster.namespace, colour=colours(sys.stdout)) + text
    shared.print({**_whose(member), **value}, text)


def _show_error(shared: Shared, member: Member, error: PvserveError, label: str = "") -> None:
    if shared.out.for_machines:
        shared.out.say("error", {**_whose(member), **error.as_dict()})
        return
    sys.stdout.flush()
    head = f"{label}: " if label else ""
    print(head + error_text(error, colour=colours(sys.stderr)), end="", file=sys.stderr, flush=True)


def _row(result: Result, members: Sequence[Member]) -> Row:
    member, outcome = result.member, result.outcome
    if result.error is not None or outcome is None:
        error = result.error or PvserveError("InternalError", "it has neither outcome nor error")
        stopped = isinstance(error, Interrupted)
        state = "refused" if member.planned and member.error else "stopped" if stopped else "failed"
        return _failed(member, members, error, state)
    state = {0: "ok", 10: "unknown"}.get(outcome.exit_code, "failed")
    words = "" if outcome.proof is None else "proven" if outcome.proof.passed else "not proven"
    changed = "changed" if outcome.plan.changes_pending else "nothing to change"
    detail = ", ".join(filter(None, (changed, words)))
    return Row(_label(member, members), member.cluster.namespace, state, detail, outcome.exit_code)


def _failed(member: Member, members: Sequence[Member], error: PvserveError, state: str) -> Row:
    first = error.message.splitlines()[0] if error.message else ""
    return Row(_label(member, members), member.cluster.namespace, state, first, error.exit_code, error.reason)


def _summary(shared: Shared, rows: Sequence[Row]) -> int:
    code = most_serious(row.exit_code for row in rows)
    if shared.out.for_machines:
        shared.out.say("summary", {"models": [row.as_dict() for row in rows], "exitCode": code})
    else:
        print(summary_text(rows, colour=colours(sys.stdout)), end="", flush=True)
    return code


def _label(member: Member, members: Sequence[Member]) -> str:
    """The model's name, with its namespace where two have the same."""
    twice = sum(other.name == member.name for other in members) > 1
    return f"{member.cluster.namespace}/{member.name}" if twice else member.name


def _whose(member: Member) -> dict[str, Any]:
    return {"model": member.name, "namespace": member.cluster.namespace}
