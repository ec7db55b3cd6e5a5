"""Changing a service that exists, in an order that admission cannot turn against us, with a way back.

Owns the steps of `--in-place` and of `rollback`. Pure.
Open Data Hub's webhook cleans up by the old connection's type when the connection's annotation goes: of type `uri`, or
when its secret is gone, it deletes `storageUri` too, also one that came in the same update. So: stop, take the
annotation away, set the storage, start (opendatahub-operator pkg/webhook/utils.go, internal/webhook/serving).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pvserve.facts import Facts, Object, Unknown, annotations_of, name, namespace, ref
from pvserve.facts.objects import ObjectKey
from pvserve.facts.objects import key as key_of
from pvserve.plan.copies import content
from pvserve.plan.diff import at, changes, merged
from pvserve.plan.edit_service import (
    CONNECTION,
    CONNECTION_PATH,
    MANAGED_BY,
    STOP,
    STORAGE_FIELDS,
    storage_of,
    storage_patch,
    uri_path,
)
from pvserve.plan.listed import in_the_way
from pvserve.plan.listed import state_of as mounted_state
from pvserve.plan.llm_service import is_llm, state_of
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import ApplyObject, PatchObject, Plan, WaitReady
from pvserve.spec.model import ModelSpec

BEFORE = "pvserve.io/before"  # on the service: the ConfigMap with what it was
KEY = "before.json"
_POD_FIELDS = ("serviceAccountName", "imagePullSecrets", "storageUris")


def record_name(service: str) -> str:
    """The ConfigMap that keeps what an in-place change replaced."""
    return f"pvserve-before-{service}"


def in_place_part(spec: ModelSpec, facts: Facts, uri: str) -> Part:
    """The steps that are still missing until the service takes its model from `uri`."""
    service = facts.service
    if isinstance(service, Unknown):
        return unreadable(f"InferenceService {spec.name}", service)
    if service is None:
        where = facts.namespace.name
        message = f"InferenceService {spec.name} does not exist in namespace {where}"
        return refused("NoSuchService", message, f"kubectl get inferenceservices -n {where}")
    stopped = several_part(service)
    if stopped.refusals:
        return stopped
    key = key_of(service)
    steps = _switch(service, facts, key, uri)
    if not steps:
        return Part(unchanged=(str(key),)) + assume(service, key, whole=True)
    notes: tuple[str, ...] = ()
    if any(step.id == "stop" for step in steps):
        notes = (f"{spec.name} answers nothing from its stop until it is Ready again",)
    first = () if BEFORE in annotations_of(service) else (record_step(service, facts),)
    return Part(steps=(*first, *steps), notes=notes) + assume(service, key, whole=True)


def several_part(service: Object) -> Part:
    """Refused where the first of several models cannot be moved beside the others."""
    storage = storage_of(service)
    why = in_the_way(service["spec"]["predictor"], storage.path, storage.listed) if storage.listed else ""
    if not why:
        return Part()
    message = f"{ref(service)} takes models from several places (storageUris), and the first cannot be moved: {why}"
    return refused("SeveralModels", message, "load each with pvserve load, then write the service by hand")


def record_step(service: Object, facts: Facts) -> ApplyObject:
    """Writes down what rollback goes back to, before the change."""
    kind = {"apiVersion": service["apiVersion"], "kind": service["kind"]}
    owner = {**kind, "name": name(service), "uid": service["metadata"]["uid"]}
    record = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": record_name(name(service)),
            "namespace": namespace(service),
            "labels": {MANAGED_BY: "pvserve"},
            "ownerReferences": [owner],
        },
        "data": {KEY: json.dumps(_state(service), sort_keys=True)},
    }
    why = f"pvserve rollback {name(service)} goes back to it"
    title = f"note what {name(service)} is now"
    rights = rights_of("in-place", facts.namespace.name)
    return ApplyObject("before", title, record, None, changes({}, {"data": record["data"]}), why, rights)


def _state(service: Object) -> dict[str, Any]:
    """All that an in-place change may alter, as it is."""
    words = (CONNECTION, CONNECTION_PATH, STOP)
    said = {"annotations": {word: annotations_of(service).get(word) for word in words}}
    storage = storage_of(service)
    if storage.form == "llm":
        return {"metadata": said, "spec": state_of(service)}
    predictor: Mapping[str, Any] = service["spec"]["predictor"]
    kept: dict[str, Any] = {field: predictor.get(field) for field in _POD_FIELDS}
    if storage.listed:
        kept |= mounted_state(predictor, storage.path)
        if storage.path:
            kept[storage.path[0]]["storage"] = predictor[storage.path[0]].get("storage")
    elif storage.form == "environment":
        kept["containers"] = predictor["containers"]
    else:
        path = (storage.path or ("model",))[0]
        kept[path] = {field: (predictor.get(path) or {}).get(field) for field in STORAGE_FIELDS}
    return {"metadata": said, "spec": {"predictor": kept}}


def _switch(service: Object, facts: Facts, key: ObjectKey, uri: str) -> tuple[PatchObject, ...]:
    """Each step only where it is still needed: a run that was killed is gone on with."""
    connected = CONNECTION in annotations_of(service)
    stopped = annotations_of(service).get(STOP) == "true"
    wrong = storage_of(service).uri != uri or bool(storage_of(service).key)
    if not connected and not wrong and not stopped:
        return ()
    now = dict(content(service))
    rights = rights_of("serve", facts.namespace.name)
    out: list[PatchObject] = []

    def patch(step: str, title: str, body: dict[str, Any], why: str, *expect: tuple[tuple[str, ...], Any]) -> None:
        nonlocal now
        after = merged(now, body)
        out.append(PatchObject(step, title, key, body, now, changes(now, after), expect, why, rights))
        now = after

    def noted(values: Mapping[str, str | None]) -> dict[str, Any]:
        mark = {} if BEFORE in annotations_of(service) else {BEFORE: record_name(name(service))}
        return {"metadata": {"annotations": {**mark, **values}}}

    if connected:
        if not stopped:
            patch("stop", f"stop {key}", noted({STOP: "true"}), "no pod may start from storage that is half changed")
        gone = {"metadata": {"annotations": {CONNECTION: None, CONNECTION_PATH: None}}}
        why = f"the connection (type {_kind(facts)}) would bring the old storage back"
        patch(
            "disconnect", f"take the connection from {key}", gone, why, (("metadata", "annotations", CONNECTION), None)
        )
    field = uri_path(service)
    if wrong or connected:
        body = storage_patch(service, uri)
        if not connected:
            body = {**noted({}), **body} if noted({})["metadata"]["annotations"] else body
        expect = ((field, uri),) if field else ()
        patch("storage", f"serve {key} from {uri}", body, f"it is served from {storage_of(service).words} now", *expect)
    if connected or stopped:
        start = {"metadata": {"annotations": {STOP: None}}}
        patch("start", f"start {key}", start, "it was stopped", *(((field, uri),) if field else ()))
    return tuple(out)


def _kind(facts: Facts) -> str:
    return "unknown" if isinstance(facts.connection, Unknown) else facts.connection


def rollback_plan(
    service_name: str, where: str, service: Object | Unknown | None, record: Object | Unknown | None
) -> Plan:
    """Takes a service back to what it was before pvserve changed it in place. The claim and its data stay."""
    part = _rollback(service_name, where, service, record)
    return Plan(where, service_name, "", "", part.steps, part.unchanged, part.refusals, assumed=part.assumed)


def _rollback(service_name: str, where: str, service: Object | Unknown | None, record: Object | Unknown | None) -> Part:
    if isinstance(service, Unknown):
        return unreadable(f"InferenceService {service_name}", service)
    if isinstance(record, Unknown):
        return unreadable(f"ConfigMap {record_name(service_name)}", record)
    if service is None:
        message = f"InferenceService {service_name} does not exist in namespace {where}"
        return refused("NoSuchService", message, f"kubectl get inferenceservices -n {where}")
    if record is None or BEFORE not in annotations_of(service):
        return _nothing(service)
    key = key_of(service)
    try:
        body = json.loads(record["data"][KEY])
        body["metadata"]["annotations"][BEFORE] = None
    except (KeyError, TypeError, ValueError):
        message = f"ConfigMap {record_name(service_name)} holds nothing that pvserve wrote"
        return refused(
            "RecordDamaged", message, f"kubectl get configmap {record_name(service_name)} -n {where} -o yaml"
        )
    now = content(service)
    after = merged(now, body)
    expect = tuple((path, at(after, path)) for path in _leaves(body["spec"], ("spec",)))
    why = "what it was before pvserve changed it in place"
    step = PatchObject("back", f"take {key} back", key, body, now, changes(now, after), expect, why,
                       rights_of("serve", where))  # fmt: skip
    steps: tuple[Any, ...] = (step, WaitReady("ready", f"wait until {service_name} is Ready", service_name))
    if body["metadata"]["annotations"].get(STOP) == "true":
        steps = steps[:1]  # it was stopped and is so again
    return Part(steps=steps) + assume(service, key, whole=True)


def _leaves(value: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if isinstance(value, Mapping) and value and len(path) < 5:
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*path, key))]
    return [path]


def _nothing(service: Object) -> Part:
    made = (service["metadata"].get("labels") or {}).get(MANAGED_BY) == "pvserve"
    where = namespace(service)
    if made:
        return refused(
            "NothingToRollBack",
            f"{ref(service)} was made by pvserve beside the service it started from, which is as it was",
            f"kubectl delete {'llminferenceservice' if is_llm(service) else 'inferenceservice,servingruntime'} "
            f"{name(service)} -n {where}",
        )
    return refused("NothingToRollBack", f"{ref(service)} was not changed by pvserve")
