"""Why KServe makes nothing of a service.

Owns the reading of the service's own status and events. Must not look at pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import conditions, events_of, lasted, seconds_between, seen, text, when, with_reason
from pvserve.diagnose.rollout import spec_written
from pvserve.diagnose.values import Cause, Evidence, Seen, Words
from pvserve.facts import Object, annotations_of

STOP = "serving.kserve.io/stop"
NO_STATUS_SECONDS = 30.0  # a controller that restarts is back in this time
# kserve pkg/apis/serving/v1beta1/inference_service_status.go FailureReason
RUNTIME_REASONS = {
    "RuntimeNotRecognized": "RuntimeMissing",
    "RuntimeDisabled": "RuntimeDisabled",
    "NoSupportingRuntime": "FormatUnsupported",
    "RuntimeUnhealthy": "ServiceRefused",
    "InvalidPredictorSpec": "ServiceRefused",
}
# What only an event tells: pattern of KServe's words, code.
TOLD = (
    (re.compile(r"only one of storageUri and storage"), "StorageTwice"),
    # knative.dev/serving pkg/apis/serving/k8s_validation.go
    (re.compile(r"Persistent volume (claim|write) support is disabled"), "KnativeWithoutClaims"),
)
# Said in passing when several write at once or the API server is restarted; the next attempt goes through.
PASSING = re.compile(r"the object has been modified|context deadline exceeded|etcdserver|connection refused")


def service_causes(evidence: Evidence) -> Iterator[Cause]:
    """What the service itself says."""
    service = evidence.service
    words = {"service": evidence.name, "namespace": evidence.namespace}
    if service is None:
        yield cause("ServiceMissing", Seen(f"InferenceService {evidence.name}", "not found"), hopeless=True, **words)
    if not isinstance(service, dict):
        return
    subject = f"InferenceService {evidence.name}"
    if annotations_of(service).get(STOP) == "true":
        yield cause("ServiceStopped", Seen(subject, f"annotation {STOP} is true"), hopeless=True, **words)
        return
    yield from _invalid(evidence, service, words)
    yield from _not_combined(evidence, service, words)
    yield from _no_status(evidence, service, words)


def _invalid(evidence: Evidence, service: Object, words: Words) -> Iterator[Cause]:
    """By status.modelStatus where KServe fills it; some refusals are told in an event alone."""
    status: dict[str, Any] = service.get("status") or {}
    model: dict[str, Any] = status.get("modelStatus") or {}
    told = current_errors(evidence, service)
    if model.get("transitionStatus") == "InvalidSpec":
        info = model.get("lastFailureInfo") or {}
        said = Seen(f"InferenceService {evidence.name}", f"{info.get('reason')}: {info.get('message')}")
        code = RUNTIME_REASONS.get(str(info.get("reason")), "ServiceRefused")
        evidence_of = (said, *(seen(event) for event in told[-1:]))
        yield cause(code, *evidence_of, hopeless=True, **_names(service), **words)
    elif told and conditions(service).get("Ready", {}).get("status") != "True":
        code = next((code for pattern, code in TOLD if pattern.search(text(told[-1]))), "ServiceError")
        yield cause(code, seen(told[-1]), hopeless=code != "ServiceError", **words)


def _not_combined(evidence: Evidence, service: Object, words: Words) -> Iterator[Cause]:
    """Of an LLMInferenceService: before its presets are found and merged, KServe makes nothing of it.

    Source: kserve pkg/apis/serving/v1alpha2/llm_inference_service_lifecycle.go, PresetsCombined
    """
    told = conditions(service).get("PresetsCombined", {})
    if told.get("status") == "False":
        said = f"PresetsCombined is False: {told.get('reason')}: {told.get('message')}"
        at = str(told.get("lastTransitionTime") or "")
        seen_at = Seen(f"InferenceService {evidence.name}", said, at)
        yield cause("ServiceRefused", seen_at, hopeless=at >= spec_written(service), **words)


def current_errors(evidence: Evidence, service: Object) -> tuple[Object, ...]:
    """KServe's complaints since the spec was last written: earlier ones were about another spec."""
    written = spec_written(service)
    told = with_reason(events_of(evidence, "InferenceService", service), "InternalError")
    return tuple(event for event in told if when(event) >= written and not PASSING.search(text(event)))


def _names(service: Object) -> Words:
    predictor = service["spec"].get("predictor") or {}
    model: dict[str, Any] = predictor.get("model") or {}
    return {
        "runtime": str(model.get("runtime") or "(none named)"),
        "format": str((model.get("modelFormat") or {}).get("name") or "(none named)"),
    }


def _no_status(evidence: Evidence, service: Object, words: Words) -> Iterator[Cause]:
    created = str(service["metadata"].get("creationTimestamp") or "")
    age = seconds_between(created, evidence.now)
    if not service.get("status") and age is not None and lasted(created, evidence, NO_STATUS_SECONDS):
        said = Seen(f"InferenceService {evidence.name}", "has no status", created)
        yield cause("NoStatus", said, seconds=f"{age:.0f}", **words)
