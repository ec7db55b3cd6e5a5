"""`pvserve init`: the text is a model file that loads, and says what was there."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvserve.errors import UsageError
from pvserve.spec import ModelSpec, read_specs
from pvserve.spec.from_service import from_service


def service(
    predictor: dict[str, Any], name: str = "granite", namespace: str = "llm", **annotations: str
) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"predictor": predictor},
    }


def model(**storage: Any) -> dict[str, Any]:
    return {"model": {"modelFormat": {"name": "vLLM"}, "runtime": "vllm", **storage}}


def loaded(text: str) -> ModelSpec:
    found = read_specs("-", stdin=io.StringIO(text))
    assert found.warnings == ()
    return found.specs[0]


def test_a_service_on_object_storage_becomes_a_file_for_its_conversion() -> None:
    runtime = {"kind": "ServingRuntime", "metadata": {"name": "vllm", "namespace": "llm"}}
    made = service(model(storage={"key": "aws-minio", "path": "models/granite-7b-lab/"}))
    made["metadata"]["annotations"]["openshift.io/display-name"] = "Granite\n7B"
    text = from_service(made, runtime)
    spec = loaded(text)
    assert (spec.name, spec.namespace, spec.origin) == ("granite-pvc", "llm", "granite")
    assert (spec.claim.name, spec.destination) == ("granite-models", "granite-7b-lab")
    assert "ServingRuntime vllm (format vLLM) from object storage of connection aws-minio" in text
    assert "as Granite 7B." in text
    assert "pvserve deploy -f" in text


@pytest.mark.parametrize(
    ("uri", "directory"),
    [
        ("s3://bucket/a/granite-7b", "granite-7b"),
        ("hf://ibm-granite/granite-7b:main", "granite-7b"),
        ("oci://registry.example/models/granite:1.0", "granite"),
        ("https://host/m/Gran%20ite v1?sig=SECRET", "gran-20ite-v1"),
        ("gs://", "granite"),
        ("s3://bucket/..", "granite"),
    ],
)
def test_the_directory_is_named_like_the_source(uri: str, directory: str) -> None:
    assert loaded(from_service(service(model(storageUri=uri)))).destination == directory


@pytest.mark.parametrize("uri", ["https://host/m.bin?sig=SECRET", "https://user:SECRET@host/m.bin"])
def test_credentials_in_an_address_are_not_written_down(uri: str) -> None:
    assert "SECRET" not in from_service(service(model(storageUri=uri)))
    assert "SECRET" not in from_service(service({"storageUris": [{"uri": uri}]}))


def test_a_service_on_a_claim_is_described_as_it_is() -> None:
    text = from_service(service(model(storageUri="pvc://models/llm/granite/")))
    spec = loaded(text)
    assert (spec.name, spec.in_place, spec.claim.name, spec.path) == ("granite", True, "models", "llm/granite")
    assert (spec.model, spec.origin) == (None, None)
    assert "pvserve verify granite -n llm" in text


def test_a_claims_root_is_named_as_what_cannot_stay() -> None:
    text = from_service(service(model(storageUri="pvc://models")))
    assert loaded(text).path == "granite"
    assert "claim's root" in text


def test_replicas_bring_advice() -> None:
    assert "Up to 3 replicas" in from_service(service({**model(storageUri="s3://b/m"), "maxReplicas": 3}))
    assert "replicas" not in from_service(service(model(storageUri="s3://b/m")))


@pytest.mark.parametrize(
    "predictor",
    [
        {"sklearn": {"storageUri": "s3://b/iris"}},
        {"containers": [{"name": "kserve-container", "env": [{"name": "STORAGE_URI", "value": "s3://b/iris"}]}]},
        {"model": {"modelFormat": {"name": "x"}}, "storageUris": [{"uri": "s3://b/iris"}, {"uri": "s3://b/lora"}]},
    ],
)
def test_older_and_custom_predictors(predictor: dict[str, Any]) -> None:
    assert loaded(from_service(service(predictor))).destination == "iris"


def llm(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "granite", "namespace": "llm"}
    kind = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceService"}
    return {**kind, "metadata": metadata, "spec": spec}


def test_an_llm_service_becomes_a_file_as_well() -> None:
    text = from_service(llm(model={"uri": "hf://ibm-granite/granite-7b"}, replicas=3))
    spec = loaded(text)
    assert (spec.name, spec.origin, spec.destination) == ("granite-pvc", "granite", "granite-7b")
    assert "from LLMInferenceService llm/granite" in text
    assert "Up to 3 replicas" in text
    served = loaded(from_service(llm(model={"uri": "pvc://models/granite"})))
    assert (served.in_place, served.claim.name, served.path) == (True, "models", "granite")
    assert "no storage" in from_service(llm())


@pytest.mark.parametrize("reader", ["model", "sklearn", "containers"])
def test_a_model_beside_others_that_pvserve_moved_is_on_its_claim(reader: str) -> None:
    holder = {"volumeMounts": [{"name": "pvserve-model", "mountPath": "/mnt/base", "subPath": "llm/granite"}]}
    predictor: dict[str, Any] = {
        reader: [holder] if reader == "containers" else holder,
        "storageUris": [{"uri": "s3://b/lora", "mountPath": "/mnt/lora"}],
        "volumes": [{"name": "pvserve-model", "persistentVolumeClaim": {"claimName": "models"}}],
    }
    spec = loaded(from_service(service(predictor)))
    assert (spec.in_place, spec.claim.name, spec.path) == (True, "models", "llm/granite")


def test_a_long_name_is_cut_to_what_fits() -> None:
    spec = loaded(from_service(service(model(storageUri="s3://b/m"), name="g" * 48, namespace="n" * 30)))
    assert spec.name == "g" * 18 + "-pvc"


def test_names_that_yaml_takes_for_something_else_are_quoted() -> None:
    spec = loaded(from_service(service(model(storageUri="s3://b/12e4567"), name="no", namespace="1234")))
    assert (spec.origin, spec.namespace, spec.path) == ("no", "1234", "12e4567")


def test_only_services() -> None:
    with pytest.raises(UsageError, match="ServingRuntime is no InferenceService"):
        from_service({"kind": "ServingRuntime", "metadata": {"name": "x"}})


LABEL = st.from_regex(r"[a-z]([-a-z0-9]{0,18}[a-z0-9])?", fullmatch=True)


@given(
    LABEL, LABEL, st.text(max_size=40), st.text(max_size=40), st.sampled_from(["", "s3://b/", "pvc://models/", "hf://"])
)
def test_whatever_a_service_says_the_text_is_one_model_file(
    name: str, where: str, path: str, shown: str, scheme: str
) -> None:
    made = service(model(storageUri=scheme + path), name=name, namespace=where)
    made["metadata"]["annotations"]["openshift.io/display-name"] = shown
    spec = loaded(from_service(made))
    assert spec.namespace == where
    assert spec.name.startswith(name)
