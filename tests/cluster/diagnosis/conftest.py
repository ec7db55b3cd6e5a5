"""All scenes on the stage, once for all tests here; gone before other tests begin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from pvserve.cluster import Cluster
from tests.cluster.offers import image, make_namespace

from . import gguf, scenes
from .scenes import claim, service
from .stage import Stage, created

ENDLESS = "exec sleep 1000"
EATS_MEMORY = "tail /dev/zero"
FILLS_DISK = "dd if=/dev/zero of=/scratch/fill bs=1M count=40; exec sleep 1000"
GOOD = b"anything"


@pytest.fixture(scope="session")
def busybox() -> str:
    return image("busybox")


@pytest.fixture(scope="package")
def stage(any_cluster: Cluster, busybox: str, run_id: str) -> Iterator[Stage]:
    """The namespace in which every broken service plays."""
    with contextlib.ExitStack() as stack:
        namespace = stack.enter_context(make_namespace(any_cluster))
        found = Stage(Cluster.connect(namespace=namespace))
        keys = ("silent", "far", "tainted", "topology", "odd", "webhook")
        names = {key: f"pvst-{key}-{run_id}" for key in keys}
        far = scenes.volume_elsewhere(names["far"], namespace, "far")
        wide = (
            scenes.silent_class(names["silent"]),
            far,
            scenes.tainted_node(names["tainted"]),
            scenes.class_elsewhere(names["topology"]),
            *scenes.refusing_policy(names["odd"], namespace, "odd", "the moon is not full"),
            scenes.silent_webhook(names["webhook"], namespace, "unanswered"),
        )
        stack.enter_context(created(any_cluster, *wide))
        found.create(
            scenes.runtime(busybox),
            scenes.llama(image("llama")),
            scenes.runtime(busybox, "off", disabled=True),
            claim("models", None),
            claim("alone", None, "ReadWriteOncePod"),
            claim("rolling", None, "ReadWriteOncePod"),
            claim("leaving", None),
            claim("waits", None),
            claim("no-class", ""),
            claim("unknown-class", f"nobody-knows-{run_id}"),
            claim("silent", names["silent"]),
            claim("no-space", names["silent"]),
            claim("far", "", volume=names["far"]),
            claim("topology", names["topology"]),
            claim("shared", None, "ReadWriteMany"),
        )
        full = found.cluster.get("v1", "PersistentVolumeClaim", "no-space", namespace)
        found.create(scenes.said_of_claim(full, scenes.NO_SPACE))
        for refused in ("odd", "unanswered"):
            found.until_refused(scenes.marked_pod("probe", busybox, refused))
        found.hold(scenes.pod("holder", busybox, "alone", ENDLESS))
        found.create(*_services(names["tainted"]))
        found.create(
            scenes.late_deployment("late", busybox),
            scenes.closed_network("nobody-in", "healthy"),
            scenes.closed_network("nothing-out", "deaf", "Egress"),
        )
        _models(found, busybox)
        yield found


def _services(tainted: str) -> list[scenes.Object]:
    gpu = {**scenes.SMALL, "limits": {"nvidia.com/gpu": "1"}}
    huge = {"requests": {"cpu": "5m", "memory": "9000Gi"}, "limits": {"memory": "9000Gi"}}
    small = {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "16Mi"}}
    scratch = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]}
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    key = {"secretKeyRef": {"name": "nowhere", "key": "token"}}
    return [
        service("both", "pvc://models/good", model={"storage": {"key": "s3", "path": "x"}}),
        service("no-runtime", "pvc://models/good", model={"runtime": "nowhere"}),
        service("runtime-off", "pvc://models/good", model={"runtime": "off"}),
        service("no-format", "pvc://models/good", model={"modelFormat": {"name": "onnx"}, "runtime": None}),
        service("stopped", "pvc://models/good", annotations={"serving.kserve.io/stop": "true"}),
        service("no-secret", model={"storage": {"key": "nowhere", "path": "x"}}),
        service("no-account", predictor={"serviceAccountName": "nobody"}),
        service("no-claim", "pvc://nothere/good"),
        service("no-class", "pvc://no-class/good"),
        service("unknown-class", "pvc://unknown-class/good"),
        service("silent", "pvc://silent/good"),
        service("no-space", "pvc://no-space/good"),
        service("far", "pvc://far/good"),
        service("topology", "pvc://topology/good"),
        service("shared", "pvc://shared/good"),
        service("odd"),
        service("unanswered"),
        service("alone", "pvc://alone/good"),
        service("gpu", "pvc://waits/good", model={"resources": gpu}),
        service("huge", model={"resources": huge}),
        service("picky", predictor={"nodeSelector": {"no-node": "has-this"}}),
        service("tainted", predictor={"nodeSelector": {"pvserve-test": tainted}}),
        service("gated", predictor={"schedulingGates": [{"name": "example.com/queue"}]}),
        service("no-image", model={"image": "registry.invalid/nowhere:1"}),
        service("initializer", "https://nowhere.invalid/model.bin"),
        service("memory", script=EATS_MEMORY, model={"resources": small}),
        service(
            "disk",
            script=FILLS_DISK,
            model={"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
            predictor=scratch,
        ),
        service("gpu-memory", script=f"echo '{scenes.GPU_MEMORY}' >&2; exit 1"),
        service("crash", script="echo 'boom: unknown flag --foo' >&2; exit 3"),
        service("writes", "pvc://models/good", script="touch /mnt/models/cache && exec sleep 1000"),
        service("root", model={"securityContext": {"runAsNonRoot": True}}),
        service("no-variable", model={"env": [{"name": "TOKEN", "valueFrom": key}]}),
        service(
            "no-mount",
            model={"volumeMounts": [{"name": "ca", "mountPath": "/ca"}]},
            predictor={"volumes": [{"name": "ca", "secret": {"secretName": "nowhere"}}]},
        ),
        service("probed", script=ENDLESS, model={"livenessProbe": probe}),
        service("deaf", script=ENDLESS),
        service("late"),
    ]


def _models(stage: Stage, busybox: str) -> None:
    """Directories on the claim as users leave them; then the services that read them."""
    files = {
        "good/model.bin": GOOD,
        "secret/model.gguf": gguf.promising(),
        "truncated/model.gguf": gguf.promising(),
        "cut/model.gguf": gguf.cut(),
        "other/model.gguf": gguf.not_gguf(),
    }
    pod = scenes.pod("writer", busybox, "models", "")
    stage.write(pod, files, "chmod -R go+rX /claim && chmod 0600 /claim/secret/model.gguf && mkdir -p /claim/empty")
    stage.create(
        service("healthy", "pvc://models/good"),
        service("leaving", "pvc://leaving/"),
        service("rolling", "pvc://rolling/"),
        service("switched", "pvc://models/good"),
        *(
            service(
                path if path != "other" else "not-gguf",
                f"pvc://models/{path}",
                model={"modelFormat": {"name": "gguf"}, "runtime": "llama", "resources": {}},
            )
            for path in ("secret", "truncated", "cut", "other", "empty", "missing")
        ),
    )


@pytest.fixture(scope="package")
def narrow(any_cluster: Cluster, busybox: str) -> Iterator[Stage]:
    """A namespace with a quota that leaves no room for pods."""
    with make_namespace(any_cluster) as namespace:
        found = Stage(Cluster.connect(namespace=namespace))
        quota = {"hard": {"pods": "0", "requests.storage": "1Mi"}}
        found.create(scenes.runtime(busybox), _spec("ResourceQuota", "narrow", quota))
        found.create(service("quota"))
        yield found


@pytest.fixture(scope="package")
def demanding(any_cluster: Cluster, busybox: str) -> Iterator[Stage]:
    """A namespace whose quota demands limits, and whose LimitRange forbids large ones."""
    with make_namespace(any_cluster) as namespace:
        found = Stage(Cluster.connect(namespace=namespace))
        limits = {"limits": [{"type": "Container", "max": {"memory": "32Mi"}}]}
        found.create(
            scenes.runtime(busybox),
            _spec("ResourceQuota", "demanding", {"hard": {"limits.cpu": "8"}}),
            _spec("LimitRange", "small", limits),
        )
        within = {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "16Mi"}}
        found.create(service("unlimited", model={"resources": within}), service("large"))
        yield found


@pytest.fixture(scope="package")
def strict(any_cluster: Cluster, busybox: str) -> Iterator[Stage]:
    """A namespace under Pod Security `restricted`."""
    with make_namespace(any_cluster, {"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        found = Stage(Cluster.connect(namespace=namespace))
        found.create(scenes.runtime(busybox))
        found.create(service("rooted"))
        yield found


@pytest.fixture(scope="package", autouse=True)
def all_stages(stage: Stage, narrow: Stage, demanding: Stage, strict: Stage) -> None:
    """Everything begins before the first test looks."""


def _spec(kind: str, name: str, spec: scenes.Object) -> scenes.Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
