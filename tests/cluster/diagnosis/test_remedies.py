"""The commands that findings print, typed as they are: those that look show something, those that mend do mend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.diagnose import Finding
from pvserve.facts import name
from tests.cluster.offers import image, make_namespace, until

from . import scenes
from .scenes import claim, service
from .stage import SECONDS, Stage
from .typed import commands, that, typed

pytestmark = pytest.mark.cluster

LOOKS = re.compile(r"kubectl (-n \S+ )?(get|describe|logs|auth) |pvserve ls")
TOUCHES = "touch /mnt/models/cache && " + scenes.SERVES
GIVEN = re.compile(r"\b(SOURCE|PATH|CLASS|RUNTIME|THAT_NAMESPACE|NODE|POD|VOLUME)\b")  # left for the reader to fill in


@pytest.fixture(scope="module")
def patients(any_cluster: Cluster, busybox: str) -> Iterator[Stage]:
    """Services with one fault each that a printed command mends."""
    with make_namespace(any_cluster) as namespace:
        found = Stage(Cluster.connect(namespace=namespace))
        found.create(
            scenes.runtime(busybox),
            scenes.runtime(busybox, "off", disabled=True),
            scenes.llama(image("llama")),
            claim("models", None),
            claim("alone", None, "ReadWriteOncePod"),
            claim("no-class", ""),
            claim("granite", None),
        )
        found.hold(scenes.pod("holder", busybox, "alone", "exec sleep 1000"))
        found.create(
            service("both", "pvc://models/good", model={"storage": {"key": "s3", "path": "x"}}),
            service("no-runtime", model={"runtime": "nowhere"}),
            service("runtime-off", model={"runtime": "off"}),
            service("stopped", annotations={"serving.kserve.io/stop": "true"}),
            service("no-account", predictor={"serviceAccountName": "nobody"}),
            service("writes", "pvc://models/good", script=TOUCHES),
            service("alone", "pvc://alone/good"),
            service("no-class", "pvc://no-class/good"),
            service(
                "missing",
                "pvc://granite/granite",
                model={"modelFormat": {"name": "gguf"}, "runtime": "llama", "resources": {}},
                predictor={"securityContext": {"fsGroup": 1000}},
            ),
        )
        yield found


def mended(stage: Stage, service_name: str, command: str) -> None:
    """The command ends well, and the service is Ready after it."""
    done = typed(command)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    stage.ready(service_name)


def test_service_account_that_is_missing_is_made(patients: Stage) -> None:
    """First, since the ReplicaSet waits longer and longer between two tries."""
    mended(patients, "no-account", that(patients.wait("no-account", "ServiceAccountMissing"), "create serviceaccount"))


def test_storage_named_twice_is_mended(patients: Stage) -> None:
    mended(patients, "both", that(patients.wait("both", "StorageTwice"), "patch"))


def test_runtime_that_is_missing_is_named_anew(patients: Stage) -> None:
    command = that(patients.wait("no-runtime", "RuntimeMissing"), "patch").replace("RUNTIME", "shell")
    mended(patients, "no-runtime", command)


def test_runtime_that_is_disabled_is_enabled(patients: Stage) -> None:
    mended(patients, "runtime-off", that(patients.wait("runtime-off", "RuntimeDisabled"), "patch"))


def test_service_that_was_stopped_is_started(patients: Stage) -> None:
    mended(patients, "stopped", that(patients.wait("stopped", "ServiceStopped"), "annotate"))


def test_claim_without_a_class_goes(patients: Stage) -> None:
    done = typed(that(patients.wait("no-class", "ClaimNoClass"), "delete persistentvolumeclaim") + " --wait=false")
    assert done.returncode == 0, done.stderr


def test_holder_of_a_claim_is_deleted(patients: Stage) -> None:
    mended(patients, "alone", that(patients.wait("alone", "ClaimHeld"), "delete pod holder"))


def test_server_that_must_write_may(patients: Stage) -> None:
    mended(patients, "writes", that(patients.wait("writes", "ModelReadOnly"), "storage.kserve.io/readonly=false"))


def test_model_that_is_missing_is_loaded(patients: Stage, tmp_path: Path) -> None:
    """And the pod goes after it, since it keeps the directory that the kubelet made."""
    from tests.cluster.ui_service import gguf

    seen = patients.wait("missing", "ModelMissing")
    load = that(seen, "pvserve load SOURCE").replace("SOURCE", str(gguf(tmp_path / "granite", padding=1_000_000)))
    done = typed(f"{load} -y -n {patients.namespace}")
    assert done.returncode == 0, done.stderr
    mended(patients, "missing", that(seen, "delete pod"))


def all_findings(stage: Stage) -> dict[str, Finding]:
    """The first finding of every service on the stage, by its code, once there is one."""

    def of(service_name: str) -> Finding:
        def found() -> Finding | None:
            first = stage.now(service_name).first
            return first if first.code not in ("NotReady", "ClaimProvisioning", "ClaimWaitsForPod") else None

        return until(f"a finding on {service_name}", found, seconds=SECONDS, every=1)

    services = stage.cluster.list("serving.kserve.io/v1beta1", "InferenceService", stage.namespace)
    with ThreadPoolExecutor(4) as pool:
        return {item.code: item for item in pool.map(of, [name(item) for item in services])}


@pytest.fixture(scope="module")
def told(stage: Stage) -> dict[str, Finding]:
    return all_findings(stage)


def test_every_command_that_only_looks_shows_something(told: dict[str, Finding]) -> None:
    lines = {command for item in told.values() for command in commands(item) if LOOKS.match(command)}
    lines = {line for line in lines if not GIVEN.search(line) and "kueue" not in line}
    assert len(lines) > 15, sorted(lines)

    def trouble(line: str) -> str:
        done = typed(line)
        piped = " | grep " in line  # whose own code says only whether anything of the kind is there
        bad = "error" in done.stderr.lower() if piped else done.returncode != 0
        return f"{line}: exit code {done.returncode}, {done.stderr}" if bad else ""

    with ThreadPoolExecutor(4) as pool:
        assert [text for text in pool.map(trouble, sorted(lines)) if text] == []


def test_every_finding_has_a_remedy_and_evidence_with_its_object_and_time(told: dict[str, Finding]) -> None:
    for code, item in told.items():
        assert item.remedy or item.severity == "info", code
        assert item.evidence, code
        assert all(seen.object and seen.observed for seen in item.evidence), item
        assert any(re.match(r"\d{4}-\d\d-\d\dT", seen.time) for seen in item.evidence), item
