"""What is said of a directory without a manifest, and what is not."""

from __future__ import annotations

from typing import Any

from pvserve.facts import Unknown
from pvserve.model import Entry, Manifest, manifest_digest
from pvserve.plan.model_cache import Import, import_of
from pvserve.spec.place import Place
from pvserve.transfer import VolumeReport
from pvserve.verify.imported import unlisted

PLACE = Place("models", "models/0123456789abcdef")
FOUND = Manifest((Entry("model.safetensors", 5, "a" * 64),))


def report(**changes: Any) -> VolumeReport:
    given: dict[str, Any] = dict.fromkeys(("missing", "extra", "changed", "unreadable"), ())
    numbers = dict.fromkeys(("matches", "free_bytes", "free_inodes", "uid"), 0)
    return VolumeReport(**{"manifest": None, "gids": (), **given, **numbers, **changes})


def imported(reason: str = "ImportSucceeded") -> Import:
    done = "True" if reason == "ImportSucceeded" else "False"
    cache = {
        "kind": "LocalModelNamespaceCache",
        "metadata": {"name": "llama", "namespace": "llm"},
        "spec": {"sourceModelUri": "hf://org/llama:main", "pvcRef": "models"},
        "status": {"conditions": [{"type": "Ready", "status": done, "reason": reason}]},
    }
    found = import_of(cache)
    assert found is not None
    return found


def test_what_kserve_imported_is_digested_and_never_called_proven() -> None:
    check = unlisted(report(found=FOUND, extra=("model.safetensors",)), PLACE, imported())
    assert check.result == "unknown"
    assert "LocalModelNamespaceCache llama (ImportSucceeded) imported it from hf://org/llama:main" in check.evidence
    assert "KServe compares no digest" in check.evidence
    assert f"1 files (5 bytes) were read, and are {manifest_digest(FOUND)} now" in check.evidence
    assert "what they should be nobody says" in check.evidence
    assert "pvserve load hf://org/llama@main pvc://models/PATH -n llm" in check.remedy[0]
    assert manifest_digest(FOUND) in check.remedy[0]


def test_an_import_that_is_not_done_is_said_to_be_to_come() -> None:
    check = unlisted(report(exists=False), PLACE, imported("ImportRunning"))
    assert "(ImportRunning) is to import it" in check.evidence
    assert "Nothing lies there" in check.evidence


def test_others_files_are_read_too() -> None:
    check = unlisted(report(found=FOUND), PLACE, None)
    assert "it was not loaded by pvserve" in check.evidence
    assert manifest_digest(FOUND) in check.evidence
    assert check.remedy == ("pvserve load MODEL_DIRECTORY pvc://models/models/0123456789abcdef",)


def test_what_was_not_read_is_not_said_to_be() -> None:
    quick = unlisted(report(extra=("a", "b")), PLACE, Unknown("you may not list them"))
    assert "2 files lie there; they were not read" in quick.evidence
    assert "(you may not list them)" in quick.evidence
    cut = unlisted(report(extra=("a", "b"), unreadable=("b",)), PLACE, None)
    assert "1 of its 2 files could not be read" in cut.evidence
