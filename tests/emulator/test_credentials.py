"""Credentials that reach the storage initializer, from accounts, secrets and storage.key. Pure."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from bed.kserve_emulator.credentials import Keys
from bed.kserve_emulator.names import Object, RefusedError
from bed.kserve_emulator.pods import admit_pod

from .building import CONFIG


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
