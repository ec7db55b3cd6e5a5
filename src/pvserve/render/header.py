"""The comment on top of rendered files: what they are, what loads the bytes, what is not in them and why.

Owns the words. Depends on nothing but the plan: no time, no version, no path of a person's machine, so that two people
who render the same model write the same bytes.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePath

from pvserve.plan.steps import Load, LoadJob, NotDone, Plan, Prove, RetainVolume, WaitReady
from pvserve.render.objects import patches_without_object


def header(plan: Plan, loads: str = "") -> str:
    """Lines of YAML comment, ended by a newline; what comes from a cluster cannot break out of them.

    `loads` is what in the files loads the model, as "Job NAME"; "" where nothing does.
    """
    lines = _lines(plan, loads)
    return "".join(f"# {_safe(line)}".rstrip() + "\n" for text in lines for line in text.splitlines() or [""])


def load_command(step: Load, namespace: str) -> str:
    """The command that brings the bytes, ready to copy where the model directory is."""
    source = step.source if step.source_claim else f"./{PurePath(step.source).name}"
    words = ["pvserve", "load", source, f"pvc://{step.claim}/{step.path}", "-n", namespace]
    for flag, patterns in (("--include", step.include), ("--exclude", step.exclude)):
        words += [word for pattern in patterns for word in (flag, pattern)]
    if step.replace:
        words.append("--replace")
    return shlex.join(words)


def fetch_command(step: LoadJob, namespace: str) -> str:
    """The command that has the cluster fetch the model."""
    words = ["pvserve", "load", str(step.order["source"]["uri"]), f"pvc://{step.claim}/{step.path}", "-n", namespace]
    if step.order["source"].get("secret"):
        words += ["--connection", str(step.order["source"]["secret"])]
    return shlex.join([*words, "--replace"] if step.replace else words)


def _lines(plan: Plan, loads: str) -> Iterator[str]:
    place = f"pvc://{plan.claim}/{plan.path}".rstrip("/")
    what = f"InferenceService {plan.service}, its model at {place}" if plan.service else f"model at {place}"
    yield f"Rendered by pvserve: {what}, in namespace {plan.namespace}."
    for step in plan.steps:
        if isinstance(step, LoadJob):
            yield from _fetch_lines(step, loads, plan.namespace)
        if isinstance(step, Load):
            yield from _loads_lines(step, loads) if loads else _load_lines(step, plan.namespace)
    left_out = list(_left_out(plan))
    if left_out:
        yield "Not in here:"
    for item in left_out:
        yield f"- {item.what}: {item.why}" + (":" if item.command else "")
        yield from (f"    {line}" for line in item.command.splitlines())
    for same in plan.unchanged:
        yield f"Unchanged on the cluster, so not in here: {same}"


def _fetch_lines(step: LoadJob, loads: str, namespace: str) -> Iterator[str]:
    if not loads:
        yield f"The model's {step.files} files ({step.bytes} bytes) are not in here. Once the claim is made:"
        yield f"    {fetch_command(step, namespace)}"
        return
    yield f"{loads} fetches the model's {step.files} files from {step.source}, as its list was when this was rendered:"
    yield "of a source that has changed it publishes nothing, and ends with 8. It notes nothing on the claim."


def _load_lines(step: Load, namespace: str) -> Iterator[str]:
    if step.source_claim:
        yield f"The model's files are not in here: they lie at {step.source}. Once the claim is made:"
    else:
        yield (
            f"The model's {step.files} files ({step.bytes} bytes) are not in here: "
            "they lie in a directory that the cluster cannot read."
        )
        yield "Where that directory is, once the claim is made:"
    yield f"    {load_command(step, namespace)}"
    if step.manifest_digest:
        yield f"Manifest of the files: {step.manifest_digest}"


def _loads_lines(step: Load, loads: str) -> Iterator[str]:
    yield f"{loads} loads the model's files from {step.source}, without a client and without rights to the API server."
    if step.manifest_digest:
        yield f"It publishes nothing but {step.manifest_digest}."
    yield "It notes nothing on the claim; the next pvserve load or deploy finds the model there, and does."


def _left_out(plan: Plan) -> Iterator[NotDone]:
    for step in plan.steps:
        if isinstance(step, RetainVolume):
            yield NotDone(step.title, "the volume is known only once the claim is bound", _retain(plan, step))
        elif isinstance(step, WaitReady):
            yield NotDone(step.title, "files wait for nothing", _status(plan, step.service))
        elif isinstance(step, Prove):
            yield NotDone(step.title, "a proof is of what runs", _verify(plan, step.service))
    for patch in patches_without_object(plan):
        yield NotDone(patch.title, f"{patch.target} is not known whole, and a patch is no object")
    yield from plan.not_done


def _retain(plan: Plan, step: RetainVolume) -> str:
    claim, where = shlex.quote(step.claim), shlex.quote(plan.namespace)
    volume = f"$(kubectl -n {where} get pvc {claim} -o jsonpath='{{.spec.volumeName}}')"
    return f"""kubectl patch pv "{volume}" -p '{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}'"""


def _status(plan: Plan, service: str) -> str:
    return shlex.join(["pvserve", "status", service, "-n", plan.namespace])


def _verify(plan: Plan, service: str) -> str:
    return shlex.join(["pvserve", "verify", service, "-n", plan.namespace])


def _safe(line: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
