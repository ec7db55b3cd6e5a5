"""The runtime and the service that serve the model from its claim.

Owns which objects are written and what stands in the way. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvserve.facts import Facts, Object, Unknown, annotations_of, name, namespace, ref
from pvserve.facts.objects import ObjectKey
from pvserve.facts.objects import key as key_of
from pvserve.plan import edit_runtime, edit_service
from pvserve.plan.copies import content
from pvserve.plan.diff import changes, merged, missing
from pvserve.plan.edit_service import MANAGED_BY, made_by_pvserve, new_service, runtime_name, storage_of
from pvserve.plan.in_place import BEFORE, in_place_part, record_name, record_step, several_part
from pvserve.plan.llm_service import foreign_presets, is_llm
from pvserve.plan.looking import look_part
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.rights import may_record, rights_of
from pvserve.plan.steps import ApplyObject, Prove, Step, WaitReady
from pvserve.plan.trap_table import stop
from pvserve.plan.traps import trap_part
from pvserve.spec.model import ModelSpec


def serve_part(spec: ModelSpec, facts: Facts, uri: str, *, loads: bool, size: int) -> Part:
    """Runtime, service, waiting and proof; `loads` = bytes move in this plan, so the proof reads every byte.

    `size` of the model in bytes, 0 where it is not known.
    """
    part = _platform(facts) + (in_place_part(spec, facts, uri) if spec.in_place else _beside(spec, facts, uri))
    if part.refusals:
        return part
    part = part + trap_part(spec, facts, _subject(spec, facts), size)
    if not loads:
        part = look_part(spec, facts, writes=bool(part.steps)) + part
    digests: Any = "full" if loads else "quick"
    tail: tuple[Step, ...] = (
        WaitReady("ready", f"wait until {spec.name} is Ready", spec.name, spec.timeout),
        Prove("prove", f"prove that {spec.name} serves from {uri}", spec.name, digests),
    )
    return part + Part(steps=tail)


def _subject(spec: ModelSpec, facts: Facts) -> Object:
    """The service that is edited or copied; where there is none, the one to be."""
    found = facts.service if spec.in_place else facts.origin_service if spec.origin else _own(facts)
    if isinstance(found, dict):
        return found
    return edit_service.fresh_service(spec.name, facts.namespace.name, spec.format or "", spec.runtime or "", "")


def _platform(facts: Facts) -> Part:
    kserve = facts.kserve
    if kserve.installed is False:
        return refused(
            "NoKServe",
            "the cluster does not serve serving.kserve.io/v1beta1: KServe is not installed",
            "install KServe, or choose the cluster that has it with --context",
        )
    if kserve.direct_claim_mount is False:
        words = (
            "this KServe puts links to the claim into an emptyDir (enableDirectPvcVolumeMount: false): no copy is made"
        )
        return Part(notes=(words,))
    return Part()


def _beside(spec: ModelSpec, facts: Facts, uri: str) -> Part:
    """A service of its own beside the one it is made from."""
    made = _wanted(spec, facts, uri)
    if isinstance(made, Part):
        return made
    service, origin, runtime = made
    return runtime + _service(spec, facts, service, origin)


def _wanted(spec: ModelSpec, facts: Facts, uri: str) -> tuple[dict[str, Any], Object | None, Part] | Part:
    """The service to be, what it is made from, and the part that writes its runtime."""
    if spec.runtime or spec.format:
        return _fresh(spec, facts, uri)
    origin = facts.origin_service if spec.origin else _own(facts)
    if isinstance(origin, Unknown):
        return unreadable(f"InferenceService {spec.origin or spec.name}", origin)
    if origin is None and spec.origin:
        where, _, wanted = spec.origin.rpartition("/")
        where = where or facts.namespace.name
        message = f"InferenceService {wanted} does not exist in namespace {where}"
        return refused("NoSuchService", message, f"kubectl get inferenceservices -n {where}")
    if origin is None:
        return _fresh(spec, facts, uri)
    several = several_part(origin)
    if several.refusals:
        return several
    if is_llm(origin):
        runtime, part = "", _presets(origin, facts.namespace.name)
    else:
        runtime, part = _runtime(spec, facts, runtime_name(origin), origin)
    if part.refusals:
        return part
    made = new_service(origin, spec.name, facts.namespace.name, runtime, uri)
    stopped = (origin["metadata"].get("annotations") or {}).get(edit_service.STOP) == "true"
    notes = (f"{ref(origin)} is stopped; {spec.name} will run",) if stopped else ()
    return made, origin, part + Part(notes=notes)


def _presets(origin: Object, here: str) -> Part:
    """An LLMInferenceService has no runtime: presets of KServe's and its own template say what serves it."""
    words = foreign_presets(origin, here)
    return Part(notes=(words,) if words else ())


def _own(facts: Facts) -> Object | Unknown | None:
    """The service to be, where pvserve made it before: serving it again from elsewhere starts from itself."""
    found = facts.service
    return found if isinstance(found, Unknown) or (found is not None and made_by_pvserve(found)) else None


def _fresh(spec: ModelSpec, facts: Facts, uri: str) -> tuple[dict[str, Any], Object | None, Part] | Part:
    if not spec.format and not spec.runtime:
        return refused(
            "NothingToStartFrom",
            f"what service {spec.name} should be like is not said",
            "--from NAME takes all but the storage over from a service that exists",
            "or --runtime NAME names the ServingRuntime, ClusterServingRuntime or Template that serves it",
            code=2,
        )
    runtime, part = _runtime(spec, facts, spec.runtime or "", None)
    if part.refusals:
        return part
    formats = edit_runtime.formats_of(facts.origin_runtime if isinstance(facts.origin_runtime, dict) else None)
    if not spec.format and len(formats) != 1:
        serves = f", and it serves {', '.join(formats)}" if formats else ""
        message = f"the format of the model is not said{serves}"
        return refused("WhichFormat", message, "name it with --format", code=2)
    made = edit_service.fresh_service(spec.name, facts.namespace.name, spec.format or formats[0], runtime, uri)
    own = _own(facts)
    if isinstance(own, dict):  # what is not said stays as it is
        made = merged(new_service(own, spec.name, facts.namespace.name, runtime, uri), made)
    return made, None, part


def _runtime(spec: ModelSpec, facts: Facts, wanted: str, origin: Object | None) -> tuple[str, Part]:
    """The runtime's name for the service, and the step that makes it."""
    if not wanted:
        words = "no runtime is named: KServe chooses one by the model's format"
        return "", Part(notes=(words,))
    found, here = facts.origin_runtime, facts.namespace.name
    if isinstance(found, Unknown):
        return wanted, Part(notes=(f"runtime {wanted} could not be read ({found.why}) and is used as it is",))
    if found is None:
        where = namespace(origin) if origin is not None else here
        return "", stop("NoSuchRuntime", runtime=wanted, namespace=where)
    if edit_runtime.is_disabled(found):
        where = f"-n {namespace(found)} " if namespace(found) else ""
        return "", stop("RuntimeDisabled", runtime=ref(found), where=where, kind=found["kind"].lower(), name=wanted)
    if facts.runtime_template is None and origin is None and namespace(found) == here:
        return wanted, Part(unchanged=(ref(found),))
    if _lives(found) and wanted == spec.name and namespace(found) == here:
        return wanted, Part(unchanged=(ref(found),))
    return spec.name, _copied_runtime(spec, facts, found)


def _lives(found: Object) -> bool:
    """Whether it is one of the cluster; what is started from may lie in a file (`ahead.with_start`)."""
    return "uid" in found["metadata"]


def _copied_runtime(spec: ModelSpec, facts: Facts, origin: Object) -> Part:
    runtime, live = edit_runtime.new_runtime(origin, spec.name, facts.namespace.name), facts.runtime
    read = facts.runtime_template or origin
    notes = (f"runtime {name(origin)} is read from {ref(read)}",) if read is not origin else ()
    return (
        _apply("runtime", runtime, origin, live, rights_of("serve", facts.namespace.name))
        + (assume(read, key_of(read), whole=True) if _lives(read) else Part())
        + Part(notes=notes)
    )


def _service(spec: ModelSpec, facts: Facts, service: dict[str, Any], origin: Object | None) -> Part:
    """The step that makes or changes the service; one of ours that gets other content can be taken back."""
    first = _recorded(facts, service)
    part = first + _apply("service", service, origin, facts.service, rights_of("serve", facts.namespace.name))
    if origin is not None and spec.origin and _lives(origin):
        part = part + assume(origin, key_of(origin), whole=True)
    return part


def _recorded(facts: Facts, service: dict[str, Any]) -> Part:
    """Notes on `service`, and in a step before it, what is served today where that changes."""
    live = facts.service
    if not isinstance(live, dict) or not made_by_pvserve(live):
        return Part()
    switches = storage_of(live).uri != storage_of(service).uri
    if switches and facts.rights.get(may_record(facts.namespace.name)) is False:
        return Part(notes=("you may not create configmaps: `pvserve rollback` will not know what is served today",))
    if switches or BEFORE in annotations_of(live):
        service["metadata"].setdefault("annotations", {})[BEFORE] = record_name(name(live))
    return Part(steps=(record_step(live, facts),)) if switches else Part()


def _apply(
    step: str, wanted: Mapping[str, Any], origin: Object | None, live: Object | Unknown | None, rights: Any
) -> Part:
    """The step that makes an object as wanted; none where it is so; refused where it is somebody else's."""
    key = ObjectKey(wanted["apiVersion"], wanted["kind"], namespace(wanted), name(wanted))
    if isinstance(live, Unknown):
        return unreadable(str(key), live)
    if live is None:
        why = f"a copy of {ref(origin)}; these fields differ" if origin is not None else "there is none to start from"
        differs = changes(content(origin) if origin is not None else {}, wanted)
        made = ApplyObject(step, f"make {key}", wanted, None, differs, why, rights)
        return Part(steps=(made,)) + assume(None, key, whole=True)
    if not made_by_pvserve(live):
        return refused(
            "NameTaken",
            f"{key} exists and was not made by pvserve (no label {MANAGED_BY}=pvserve)",
            "choose another --name" if step == "runtime" else "choose another --name, or add --in-place to change it",
        )
    lacks = missing(wanted, content(live))
    if not lacks:
        return Part(unchanged=(str(key),)) + assume(live, key, whole=True)
    change = ApplyObject(step, f"change {key}", wanted, live, lacks, "it is not as wanted", rights)
    return Part(steps=(change,)) + assume(live, key, whole=True)
