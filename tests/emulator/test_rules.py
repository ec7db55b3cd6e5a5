"""KServe's rules that no recording shows: merging, runtimes, credentials, several models, nodes, refusals. Pure."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from bed.kserve_emulator import config as settings
from bed.kserve_emulator.admission import patch
from bed.kserve_emulator.credentials import Keys
from bed.kserve_emulator.defaulting import default_service
from bed.kserve_emulator.merge import merge_containers, strategic_merge
from bed.kserve_emulator.names import Object, RefusedError
from bed.kserve_emulator.pods import admit_pod
from bed.kserve_emulator.service import Facts, desired
from bed.kserve_emulator.storage import Source, add_models
from bed.kserve_emulator.validation import complaint_about_runtime, complaint_about_service

from .services import runtime, service

CONFIG = settings.read(settings.default_map("initializer:1"))


def stored(item: Object) -> Object:
    result = default_service(item, CONFIG)
    result["metadata"] |= {"namespace": "ns", "generation": 3, "uid": "u"}
    return result


def deployment(item: Object, *runtimes: Object, cluster: tuple[Object, ...] = (), keys: Keys | None = None) -> Object:
    wanted = desired(Facts(stored(item), CONFIG, runtimes, cluster, keys or Keys()))
    assert wanted.refused is None, wanted.refused
    return next(made for made in wanted.objects if made["kind"] == "Deployment")


def refused(item: Object, *runtimes: Object) -> RefusedError:
    wanted = desired(Facts(stored(item), CONFIG, runtimes))
    assert wanted.refused is not None
    return wanted.refused


def serving(item: Object, *runtimes: Object, **more: Any) -> Object:
    found: Object = deployment(item, *runtimes, **more)["spec"]["template"]["spec"]["containers"][0]
    return found


# merging


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


# runtimes


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


# credentials


def secret(name: str, annotations: dict[str, str] | None = None, **values: str) -> Object:
    data = {key.replace("_DASH_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": name, "annotations": annotations or {}}, "data": data}


def initializer_env(annotations: dict[str, str], keys: Keys) -> tuple[list[str], dict[str, Any]]:
    pod = {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "kserve-container", "image": "x"}]},
    }
    (initializer,) = admit_pod(pod, "ns", CONFIG, keys)["spec"]["initContainers"]
    env = {item["name"]: item.get("value", item.get("valueFrom")) for item in initializer["env"]}
    return initializer["args"], env


SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
SPEC = "internal.serving.kserve.io/storage-spec"


@pytest.mark.parametrize(
    ("values", "annotations", "expected"),
    [
        ({"S3_ENDPOINT": "https://s3:9000"}, {}, ("1", "s3:9000", "https://s3:9000")),
        ({"S3_ENDPOINT": "http://s3:9000"}, {"s3-usehttps": "1"}, ("0", "s3:9000", "http://s3:9000")),
        ({"S3_ENDPOINT": "s3", "S3_USE_HTTPS": "0"}, {}, ("0", "s3", "http://s3")),
        ({"S3_ENDPOINT": "other"}, {"s3-endpoint": "s3", "s3-usehttps": "1"}, ("1", "s3", "https://s3")),
        ({"S3_ENDPOINT": "s3"}, {}, (None, "s3", "https://s3")),
    ],
)
def test_s3_endpoint(values: dict[str, str], annotations: dict[str, str], expected: tuple[str | None, ...]) -> None:
    noted = {f"serving.kserve.io/{key}": value for key, value in annotations.items()}
    keys = Keys({"secrets": [{"name": "s"}]}, {"s": secret("s", noted, AWS_SECRET_ACCESS_KEY="x", **values)})
    _, env = initializer_env({SOURCE: "s3://a/b"}, keys)
    assert tuple(env.get(name) for name in ("S3_USE_HTTPS", "S3_ENDPOINT", "AWS_ENDPOINT_URL")) == expected


def test_hugging_face_token_comes_by_reference() -> None:
    keys = Keys({"secrets": [{"name": "h"}]}, {"h": secret("h", HF_TOKEN="t")})
    _, env = initializer_env({SOURCE: "hf://a/b"}, keys)
    assert env["HF_TOKEN"] == {"secretKeyRef": {"name": "h", "key": "HF_TOKEN"}}


def test_storage_parameters_override_the_secret() -> None:
    keys = Keys({}, {"storage-config": secret("storage-config", k='{"type":"s3","bucket":"old"}')})
    noted = {SOURCE: "<scheme-placeholder>://p", SPEC: "true", f"{SPEC}-key": "k", f"{SPEC}-param": '{"bucket":"new"}'}
    arguments, env = initializer_env(noted, keys)
    assert arguments == ["s3://new/p", "/mnt/models"]
    assert env["STORAGE_OVERRIDE_CONFIG"] == '{"bucket":"new"}'


@pytest.mark.parametrize(
    ("secrets", "text"),
    [
        ({}, 'can\'t read storage secret storage-config: secrets "storage-config" not found'),
        ({"x": "{}"}, "specified storage key k not found in storage secret storage-config"),
        ({"k": "no json"}, "invalid json encountered in key k of storage secret storage-config"),
        ({"k": '{"type":"gs"}'}, "storage type [gs] is not supported"),
        ({"k": "{}"}, "unable to determine storage type"),
        ({"k": '{"type":"s3"}'}, "format [s3] requires a bucket but one wasn't found"),
    ],
)
def test_unusable_storage_key_is_refused(secrets: dict[str, str], text: str) -> None:
    keys = Keys({}, {"storage-config": secret("storage-config", **secrets)} if secrets else {})
    noted = {SOURCE: "<scheme-placeholder>://p", SPEC: "true", f"{SPEC}-key": "k"}
    with pytest.raises(RefusedError) as error:
        initializer_env(noted, keys)
    assert text in str(error.value)


# several models, several nodes


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


# validation


def edited(**predictor: Any) -> Object:
    item = service(runtime="server", storageUri="pvc://a/b")
    item["spec"]["predictor"] |= predictor
    return item


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (service(name="Upper"), "a InferenceService name must consist of lower case"),
        (service(annotations={"serving.kserve.io/autoscalerClass": "magic"}), "[magic] is not a supported autoscaler"),
        (service(env=[{"name": "PYTHONPATH", "value": "x"}]), "setting PYTHONPATH in container"),
        (edited(minReplicas=3, maxReplicas=2), "'MinReplicas' cannot be greater than MaxReplicas"),
        (edited(minReplicas=-1), "'MinReplicas' cannot be less than 0"),
        (edited(workerSpec={}), "Multinode only supports 'none' autoscaler()"),
        (edited(model={"modelFormat": {"name": "a"}, "name": "x"}), "the 'name' field is not allowed"),
        (edited(containers=[{"name": "kserve-container"}]), "exactly one of [Name, SKLearn"),
        (edited(model={"modelFormat": {"name": "a"}}, storageUris=[{"uri": "s3://a", "mountPath": "/a/.."}]), "'..'"),
        (
            edited(
                model={"modelFormat": {"name": "a"}},
                storageUris=[{"uri": "s3://a", "mountPath": "/a/x"}, {"uri": "s3://b", "mountPath": "/b/x"}],
            ),
            "must have a common parent directory",
        ),
    ],
)
def test_validation_refuses(item: Object, text: str) -> None:
    assert text in complaint_about_service(item, None)


def test_runtime_cannot_lose_its_workers() -> None:
    old = runtime(workerSpec={"containers": [{"name": "worker-container"}]})
    assert complaint_about_runtime(old, None) == ""
    assert "removing workerSpec" in complaint_about_runtime(runtime(), old)


def test_unknown_scheme_is_refused() -> None:
    assert "StorageUri [ftp://a] is not supported" in str(
        refused(service(runtime="server", storageUri="ftp://a"), runtime())
    )


def test_patch_touches_only_what_changed() -> None:
    old = {"metadata": {"name": "a"}, "spec": {"x": 1}}
    assert patch(old, old) == []
    new = {"metadata": {"name": "a", "annotations": {"k": "v"}}, "spec": {"x": 1}}
    assert patch(old, new) == [{"op": "add", "path": "/metadata/annotations", "value": {"k": "v"}}]
    assert patch(new, old) == [{"op": "remove", "path": "/metadata/annotations"}]
