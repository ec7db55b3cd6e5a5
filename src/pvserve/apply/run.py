"""Carries out a plan, step by step.

Owns the loop and what is told of it. Must not decide, nor prove: the proof reads everything again by itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pvserve.apply.fetching import Fetched, run_fetch
from pvserve.apply.growing import tell_how_to_grow
from pvserve.apply.load import run_load
from pvserve.apply.looking import check_path
from pvserve.apply.objects import apply_object, check_assumed, patch_object, retain_volume
from pvserve.apply.refusing import refuse_all
from pvserve.apply.sweep import run_removal
from pvserve.apply.volumes import run_volume_step
from pvserve.apply.wait import wait_ready
from pvserve.cluster import Cluster
from pvserve.errors import Interrupted, PvserveError, StalePlan, UsageError
from pvserve.events import Listener, StepState
from pvserve.model import Listing
from pvserve.plan.steps import (
    ApplyObject,
    CheckPath,
    Load,
    LoadJob,
    PatchObject,
    Plan,
    Prove,
    RetainVolume,
    Step,
    WaitReady,
)
from pvserve.plan.volume_steps import (
    DeleteObject,
    ReleaseClaim,
    RemoveModel,
    SweepVolume,
    WaitBound,
    WaitCloned,
    WaitResized,
    WaitSnapshot,
)
from pvserve.transfer import Loaded, Removed


@dataclass(frozen=True)
class Applied:
    """What was done; `loaded` is None when no bytes had to move, `removed` when none had to go."""

    done: tuple[str, ...]
    loaded: Loaded | Fetched | None = None
    removed: Removed | None = None


def refuse(plan: Plan) -> None:
    """Raises the first refusal of the plan, with the others in its detail."""
    refuse_all(plan.refusals)


def run(cluster: Cluster, plan: Plan, listing: Listing | None, listen: Listener, cancel: threading.Event) -> Applied:
    """Applies every step but the proof. Raises at the first that fails; what is done stays done, the same plan resumes.

    `listing` is the model directory of the plan's Load step, where there is one.
    """
    refuse(plan)
    check_assumed(cluster, plan.assumed)
    _check_source(plan, listing)
    done: list[str] = []
    loaded: Loaded | Fetched | None = None
    removed: Removed | None = None
    for step in plan.steps:
        if isinstance(step, Prove):
            continue
        if cancel.is_set():
            raise Interrupted("Interrupted", "stopped between two steps; the same command resumes")
        listen(StepState(step.id, step.title, "ongoing"))
        try:
            result = _run_step(cluster, step, listing, listen, cancel)
        except PvserveError as error:
            if isinstance(step, (Load, LoadJob)):
                tell_how_to_grow(cluster, step.claim, error)
            listen(StepState(step.id, step.title, "fail", error.message))
            raise
        if isinstance(result, Removed):
            removed = result if removed is None else removed + result
        else:
            loaded = result or loaded
        listen(StepState(step.id, step.title, "ok"))
        done.append(step.id)
    return Applied(tuple(done), loaded, removed)


def _check_source(plan: Plan, listing: Listing | None) -> None:
    """Raises StalePlan when the model directory is not as it was when the plan was made."""
    for step in plan.steps:
        if isinstance(step, Load) and listing is not None and listing.fingerprint != step.fingerprint:
            raise StalePlan(
                "SourceChanged",
                f"the model directory {step.source} changed since the plan was made",
                subject=step.source,
                remedy=("make the plan again: pvserve plan … --out plan.json",),
            )


def _run_step(
    cluster: Cluster, step: Step, listing: Listing | None, listen: Listener, cancel: threading.Event
) -> Loaded | Fetched | Removed | None:
    match step:
        case ApplyObject():
            apply_object(cluster, step)
        case PatchObject():
            patch_object(cluster, step)
        case RetainVolume():
            retain_volume(cluster, step)
        case CheckPath():
            check_path(cluster, step, listen)
        case WaitReady():
            wait_ready(cluster, step, listen, cancel)
        case ReleaseClaim() | DeleteObject() | WaitBound() | WaitCloned() | WaitSnapshot() | WaitResized():
            run_volume_step(cluster, step, listen, cancel)
        case Load() | LoadJob():
            return _bring(cluster, step, listing, listen, cancel)
        case RemoveModel() | SweepVolume():
            return run_removal(cluster, step, listen, cancel)
        case Prove():
            raise AssertionError("the proof is not applied")
    return None


def _bring(
    cluster: Cluster, step: Load | LoadJob, listing: Listing | None, listen: Listener, cancel: threading.Event
) -> Loaded | Fetched:
    if isinstance(step, LoadJob):
        return run_fetch(cluster, step, listen, cancel)
    if listing is None and not step.source_claim:
        raise UsageError("NoSource", f"step {step.title} needs the model directory {step.source}")
    return run_load(cluster, step, listing, listen, cancel)
