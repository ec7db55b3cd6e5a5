"""What is said of a service, in the words of its kind.

Owns how the table's words, which are for an InferenceService, become those for an LLMInferenceService. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from pvserve.diagnose.values import Cause, Evidence, Finding, ObjectLine, PodEvidence
from pvserve.facts import Object
from pvserve.plan.llm_service import LLM_KIND, is_llm

KIND = "InferenceService"
MEMORY = "spec.predictor.model.resources"  # as the table's remedies name fields
RECREATE = '{"spec":{"predictor":{"deploymentStrategy":{"type":"Recreate"}}}}'


def kind_of(evidence: Evidence) -> str:
    """The service's kind; the usual one where it could not be read."""
    return LLM_KIND if _is_llm(evidence) else KIND


def in_its_words(item: Cause, evidence: PodEvidence) -> Cause:
    """The cause, with the service's kind and fields."""
    if not isinstance(evidence, Evidence) or not _is_llm(evidence):
        return item
    return Cause(_reworded(item.finding, evidence.name), item.hopeless)


def lines_in_its_words(lines: tuple[ObjectLine, ...], evidence: Evidence) -> tuple[ObjectLine, ...]:
    """The lines, with the service's kind."""
    if not _is_llm(evidence):
        return lines
    return tuple(replace(line, object=_words(line.object, evidence.name)) for line in lines)


def _is_llm(evidence: Evidence) -> bool:
    service: Object | None = evidence.service if isinstance(evidence.service, dict) else None
    return is_llm(service)


def _reworded(finding: Finding, service: str) -> Finding:
    seen = tuple(replace(item, object=_words(item.object, service)) for item in finding.evidence)
    remedy = tuple(_words(line, service) for line in finding.remedy if RECREATE not in line)  # it has no such field
    return replace(finding, title=_words(finding.title, service), evidence=seen, remedy=remedy)


def _words(text: str, service: str) -> str:
    for plain, own in (
        (f"LLM{KIND} {service}", f"{KIND} {service}"),  # already so
        (f"{KIND} {service}", f"{LLM_KIND} {service}"),
        (f" {KIND.lower()} {service}", f" {LLM_KIND.lower()} {service}"),
        (MEMORY, "spec.template.containers[main].resources"),
    ):
        text = text.replace(plain, own)
    return text
