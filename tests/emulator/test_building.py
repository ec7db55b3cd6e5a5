"""Objects that no recording shows: merged containers, chosen runtimes, several models, several nodes. Pure."""

from __future__ import annotations

import pytest

from bed.kserve_emulator.merge import merge_containers, strategic_merge
from bed.kserve_emulator.names import Object, RefusedError
from bed.kserve_emulator.service import Facts, desired
from bed.kserve_emulator.storage import Source, add_models

from .building import CONFIG, refused, serving, stored
from .services import runtime, service


@pytest.mark.parametrize(
    ("base", "overlay", "merged"),
    [
        (["a", "b"], ["c"], ["c", "a", "b"]),
        (["a", "b", "c"], ["b"], ["a", "b", "c"]),
        (["a", "b"], ["b", "a"], ["b", "a"]),
        (["a", "b", "c"], ["x", "c"], ["x", "a", "b", "c"]),
    ],
)
def test_merged_lists_keep_the_overlays_order(base: list[str], overlay: list[str], merged: list[str]) -> None:
    laid = strategic_merge({"env": [{"name": n} for n in base]}, {"env": [{"name": n} for n in overlay]})
    assert [item["name"] for item in laid["env"]] == merged


def test_null_removes_and_plain_lists_replace() -> None:
    base = {"command": ["a"], "tolerations": [{"key": "a"}], "nodeSelector": {"a": "1", "b": "2"}}
    overlay = {"command": None, "tolerations": [{"key": "b"}], "nodeSelector": {"b": "3"}}
    assert strategic_merge(base, overlay) == {"tolerations": [{"key": "b"}], "nodeSelector": {"a": "1", "b": "3"}}


def test_variable_by_value_and_by_reference_do_not_stay_together() -> None:
    reference = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    value = {"name": "A", "value": "x"}
    for first, second in ((reference, value), (value, reference)):
        merged = merge_containers({"name": "c", "env": [dict(first)]}, {"env": [dict(second)]})
        assert merged["env"] == [second]


def test_placeholders_are_filled_from_the_metadata() -> None:
    template = runtime()
    template["spec"]["containers"][0]["args"] = ["--name={{.Name}}", "{{ .Namespace }}", "{{.Labels.size}}"]
    item = service(runtime="server")
    item["metadata"]["labels"] = {"size": "big"}
    assert serving(item, template)["args"] == ["--name=tiny", "ns", "big"]
    template["spec"]["containers"][0]["args"] = ["{{.Nam}}"]
    assert refused(item, template).failure == ("InvalidPredictorSpec", str(refused(item, template)))


def test_youngest_runtime_with_the_highest_priority_is_selected() -> None:
    made = []
    for name, created, priority in (
        ("old", "2026-01-01", None),
        ("new", "2026-02-01", None),
        ("best", "2025-01-01", 2),
    ):
        item = runtime(name)
        item["metadata"]["creationTimestamp"] = f"{created}T00:00:00Z"
        item["spec"]["containers"][0]["image"] = name
        if priority:
            item["spec"]["supportedModelFormats"][0]["priority"] = priority
        made.append(item)
    assert serving(service(), *made)["image"] == "best"
    assert serving(service(), *made[:2])["image"] == "new"


def test_runtime_of_the_namespace_goes_before_the_clusters() -> None:
    own, shared = runtime("same"), runtime("same")
    shared["spec"]["containers"][0]["image"] = "shared"
    assert serving(service(runtime="same"), own, cluster=(shared,))["image"] == "bed.local/busybox:1"
    assert serving(service(runtime="same"), cluster=(shared,))["image"] == "shared"


def test_runtime_for_another_format_or_protocol_is_refused() -> None:
    item = service(runtime="server")
    item["spec"]["predictor"]["model"]["modelFormat"]["name"] = "onnx"
    assert str(refused(item, runtime())) == "specified runtime server does not support specified framework/version"
    asks_v2 = service(runtime="server", protocolVersion="v2")
    text = "specified runtime server does not support specified protocol version"
    assert str(refused(asks_v2, runtime(protocolVersions=["v1"]))) == text


def test_servers_kserve_knows_get_its_defaults() -> None:
    mlserver = runtime()
    mlserver["metadata"]["annotations"] = {"serving.kserve.io/server-type": "mlserver"}
    mlserver["spec"]["containers"][0]["args"] = ["{{.Labels.modelClass}}"]
    made = serving(service(runtime="server", storageUri="pvc://a"), mlserver)
    values = {item["name"]: item["value"] for item in made["env"]}
    assert values["MLSERVER_MODEL_NAME"] == "tiny"
    assert values["MLSERVER_MODEL_URI"] == "/mnt/models"
    assert made["args"] == ["mlserver_sklearn.SKLearnModel"]


@pytest.mark.parametrize(
    ("image", "version", "expected"),
    [
        ("registry:5000/a/b", "1.2", "registry:5000/a/b:1.2"),
        ("a/b:1.0", "1.2", "a/b:1.2"),
        ("a@sha256:0", "1.2", "a@sha256:0"),
        ("a/b:1.0", None, "a/b:1.0"),
    ],
)
def test_runtime_version_changes_the_tag(image: str, version: str | None, expected: str) -> None:
    template = runtime()
    template["spec"]["containers"][0]["image"] = image
    model = {"runtimeVersion": version} if version else {}
    assert serving(service(runtime="server", **model), template)["image"] == expected


def test_old_framework_fields_become_a_model() -> None:
    item = service()
    item["spec"]["predictor"] = {"onnx": {"storageUri": "pvc://a/b"}}
    predictor = stored(item)["spec"]["predictor"]
    assert "onnx" not in predictor
    assert predictor["model"]["modelFormat"] == {"name": "onnx"}
    assert predictor["model"]["protocolVersion"] == "v2"


def test_listed_downloads_share_one_directory() -> None:
    pod: Object = {"containers": [{"name": "kserve-container"}]}
    uris = [{"uri": f"s3://a/{name}", "mountPath": f"/mnt/models/{name}"} for name in ("base", "lora")]
    add_models(pod, uris, Source("ns", CONFIG))
    (initializer,) = pod["initContainers"]
    assert initializer["args"] == ["s3://a/base", "/mnt/models/base", "s3://a/lora", "/mnt/models/lora"]
    assert initializer["volumeMounts"] == [{"name": "mnt-models", "mountPath": "/mnt/models"}]
    mount = {"name": "mnt-models", "mountPath": "/mnt/models", "readOnly": True}
    assert pod["containers"][0]["volumeMounts"] == [mount]
    assert pod["volumes"] == [{"name": "mnt-models", "emptyDir": {}}]


def test_listed_images_get_sidecars_of_their_own() -> None:
    pod: Object = {"containers": [{"name": "kserve-container"}]}
    uris = [{"uri": f"oci://{name}:1", "mountPath": f"/mnt/{name}/model"} for name in ("a", "b")]
    add_models(pod, uris, Source("ns", CONFIG))
    assert [item["name"] for item in pod["containers"]] == ["kserve-container", "modelcar", "modelcar-1"]
    link = "mkdir -p /mnt/b && ln -sf /proc/$$$$/root/models /mnt/b/model && sleep infinity"
    assert pod["containers"][2]["args"] == ["sh", "-c", link]


def test_other_ways_to_serve_an_image_are_refused_by_name() -> None:
    with pytest.raises(RefusedError, match=r"oci\+native://"):
        add_models(
            {"containers": [{"name": "kserve-container"}]},
            [{"uri": "oci+native://a", "mountPath": "/m"}],
            Source("ns", CONFIG),
        )


@pytest.mark.parametrize(
    ("pipeline", "tensor", "head", "worker", "expected"),
    [
        (2, 1, 0, 0, (2, 1, 1)),  # nothing requested: one GPU each
        (2, 4, 0, 4, (2, 4, 4)),  # the workers' request decides
        (1, 4, 0, 4, (1, 4, 0)),  # it all fits on the head
        (1, 3, 1, 0, (3, 1, 1)),  # only the head's is given
    ],
)
def test_nodes_and_gpus(pipeline: int, tensor: int, head: int, worker: int, expected: tuple[int, int, int]) -> None:
    workers: Object = {"name": "worker-container", "image": "x"}
    template = runtime(
        workerSpec={"pipelineParallelSize": pipeline, "tensorParallelSize": tensor, "containers": [workers]}
    )
    for item, count in ((template["spec"]["containers"][0], head), (workers, worker)):
        if count:
            item["resources"] = {"requests": {"nvidia.com/gpu": str(count)}, "limits": {"nvidia.com/gpu": str(count)}}
    item = service(annotations={"serving.kserve.io/autoscalerClass": "none"}, runtime="server", storageUri="pvc://a")
    item["spec"]["predictor"]["workerSpec"] = {}
    wanted = desired(Facts(stored(item), CONFIG, [template]))
    first, second = (made for made in wanted.objects if made["kind"] == "Deployment")

    def gpus(made: Object) -> int:
        return int(made["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])

    assert (second["spec"]["replicas"] + 1, gpus(first), gpus(second)) == expected


def test_too_few_gpus_are_refused() -> None:
    workers = {"name": "worker-container", "image": "x", "resources": {"requests": {"nvidia.com/gpu": "2"}}}
    template = runtime(workerSpec={"tensorParallelSize": 6, "containers": [workers]})
    template["spec"]["containers"][0]["resources"] = {"requests": {"nvidia.com/gpu": "1"}}
    item = service(runtime="server", storageUri="pvc://a")
    item["spec"]["predictor"]["workerSpec"] = {}
    assert refused(item, template).condition is not None


def test_what_the_emulator_leaves_out_is_refused_by_name() -> None:
    for field in ("logger", "batcher"):
        item = service(runtime="server")
        item["spec"]["predictor"][field] = {}
        assert field in str(refused(item, runtime()))
    item = service(runtime="server")
    item["spec"]["explainer"] = {"containers": [{"name": "x"}]}
    assert "explainer" in str(refused(item, runtime()))


def test_transformer_keeps_the_arguments_it_was_given() -> None:
    item = service(runtime="server")
    item["spec"]["transformer"] = {"containers": [{"name": "t", "image": "x", "args": ["--http_port=9090"]}]}
    wanted = desired(Facts(stored(item), CONFIG, [runtime()]))
    made = next(made for made in wanted.transformer if made["kind"] == "Deployment")
    arguments = made["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments == ["--http_port=9090", "--model_name", "tiny", "--predictor_host", "tiny-predictor.ns"]
