"""Credentials of the storage initializer: from a service account's secrets or from `storage.key`. Pure.

Knows S3, Hugging Face and HTTP(S) secrets. Those of other stores are passed over, as KServe does with unknown secrets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .config import Config
from .names import GROUP, SCHEME_PLACEHOLDER, Object, RefusedError, annotations_of, compact_json

DEFAULT_SECRET = "storage-config"  # noqa: S105  the name of a secret
DEFAULT_KEY = "default"
TYPES = ("s3", "hdfs", "webhdfs")
# Environment variable, annotation of the secret, setting of the ConfigMap; the secret's key is the variable's name.
S3_VARIABLES = (
    ("S3_VERIFY_SSL", "s3-verifyssl", "s3VerifySSL"),
    ("awsAnonymousCredential", "s3-useanoncredential", "s3UseAnonymousCredential"),
    ("AWS_DEFAULT_REGION", "s3-region", "s3Region"),
    ("S3_USER_VIRTUAL_BUCKET", "s3-usevirtualbucket", "s3UseVirtualBucket"),
    ("S3_USE_ACCELERATE", "s3-useaccelerate", "s3UseAccelerate"),
    ("AWS_CA_BUNDLE", "s3-cabundle", "s3CABundle"),
    ("AWS_CA_BUNDLE_CONFIGMAP", "s3-cabundle-configmap", "s3CABundleConfigMap"),
)


@dataclass(frozen=True)
class Keys:
    """What of a namespace the storage initializer may use: the pod's service account, and secrets by name."""

    account: Object | None = None
    secrets: Mapping[str, Object] = field(default_factory=dict)


def secret_names(annotations: Mapping[str, str], config: Config, account: Object | None) -> list[str]:
    """The secrets that the functions below may look at, to be read beforehand."""
    named = annotations.get(config.credentials.get("storageSecretNameAnnotation", ""))
    default = config.credentials.get("storageSpecSecretName") or DEFAULT_SECRET
    of_account = [item["name"] for item in (account or {}).get("secrets") or ()]
    return [*dict.fromkeys([*([named] if named else []), default, *of_account])]


def data_of(secret: Object) -> dict[str, str]:
    """A secret's values as text."""
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.get("data") or {}).items()}


def add_account_credentials(container: Object, annotations: Mapping[str, str], config: Config, keys: Keys) -> None:
    """Environment from the secrets of the pod's service account, or from the one named in an annotation."""
    named = annotations.get(config.credentials.get("storageSecretNameAnnotation", ""))
    if keys.account is None:
        return
    names = [named] if named else [item["name"] for item in keys.account.get("secrets") or ()]
    for name in names:
        secret = keys.secrets.get(name)
        if secret is None:
            raise RefusedError(f'secrets "{name}" not found')
        _add_secret(container, secret, config)


def _add_secret(container: Object, secret: Object, config: Config) -> None:
    data = data_of(secret)
    name = secret["metadata"]["name"]
    env = container.setdefault("env", [])
    if (config.s3.get("s3SecretAccessKeyName") or "awsSecretAccessKey") in data:
        for variable in _s3_variables(secret, data, config):
            same = next((item for item in env if item["name"] == variable["name"]), None)
            if same is None:
                env.append(variable)
            elif "value" in variable:
                same["value"] = variable["value"]
    elif "https-host" in data:
        if "headers" in data:
            env.append({"name": f"{data['https-host']}-headers", "value": data["headers"]})
    elif "HF_TOKEN" in data:
        env.append(_reference("HF_TOKEN", name, "HF_TOKEN"))


def _reference(variable: str, secret: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _s3_variables(secret: Object, data: Mapping[str, str], config: Config) -> list[Object]:
    name = secret["metadata"]["name"]
    env = [
        _reference("AWS_ACCESS_KEY_ID", name, config.s3.get("s3AccessKeyIDName") or "awsAccessKeyID"),
        _reference("AWS_SECRET_ACCESS_KEY", name, config.s3.get("s3SecretAccessKeyName") or "awsSecretAccessKey"),
    ]

    def setting(variable: str, annotation: str, configured: str) -> str:
        own = annotations_of(secret).get(f"{GROUP}/{annotation}")
        return own if own is not None else data.get(variable, config.s3.get(configured, ""))

    values = _endpoint(
        setting("S3_ENDPOINT", "s3-endpoint", "s3Endpoint"), setting("S3_USE_HTTPS", "s3-usehttps", "s3UseHttps")
    )
    values |= {variable: setting(variable, annotation, key) for variable, annotation, key in S3_VARIABLES}
    return env + [{"name": variable, "value": value} for variable, value in values.items() if value]


def _endpoint(endpoint: str, use_https: str) -> dict[str, str]:
    """An endpoint with a scheme decides about TLS itself; without one, `use_https` does, and TLS is the default."""
    endpoint = endpoint.strip()
    if not endpoint:
        return {}
    scheme, separator, host = endpoint.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        return {"S3_USE_HTTPS": str(int(scheme.lower() == "https")), "S3_ENDPOINT": host, "AWS_ENDPOINT_URL": endpoint}
    url = f"{'http' if use_https == '0' else 'https'}://{endpoint}"
    return {"S3_USE_HTTPS": use_https, "S3_ENDPOINT": endpoint, "AWS_ENDPOINT_URL": url}


def add_storage_key(
    container: Object,
    key: str,
    parameters: Mapping[str, str],
    annotations: Mapping[str, str],
    config: Config,
    keys: Keys,
) -> None:
    """STORAGE_CONFIG from an entry of the storage secret; completes the container's `<scheme-placeholder>://` URIs.

    Args:
        key: `storage.key`; "" means the secret's entry "default" or "default_TYPE", which may be missing.
        parameters: `storage.parameters`; override what the entry says.

    Raises:
        RefusedError: the secret or the entry is missing, or the entry names no usable store.
    """
    named = annotations.get(config.credentials.get("storageSecretNameAnnotation", ""))
    name = named or config.credentials.get("storageSpecSecretName") or DEFAULT_SECRET
    secret = keys.secrets.get(name)
    if secret is None and key:
        raise RefusedError(f'can\'t read storage secret {name}: secrets "{name}" not found')
    kind, bucket = parameters.get("type", ""), parameters.get("bucket", "")
    entry = key or (f"{DEFAULT_KEY}_{kind}" if kind else DEFAULT_KEY)
    data = data_of(secret) if secret is not None else {}
    if key and key not in data:
        raise RefusedError(f"specified storage key {key} not found in storage secret {name}")
    env = container.setdefault("env", [])
    if entry in data:
        if not kind:
            stored = _entry(data[entry], entry, name)
            kind = stored.get("type", "")
            bucket = bucket or stored.get("bucket", "")
            if stored.get("cabundle_configmap"):
                env.append({"name": "AWS_CA_BUNDLE_CONFIGMAP", "value": stored["cabundle_configmap"]})
        env.append(_reference("STORAGE_CONFIG", name, entry))
    if not kind:
        raise RefusedError("unable to determine storage type")
    _complete_uris(container, kind, bucket)
    if parameters:
        env.append({"name": "STORAGE_OVERRIDE_CONFIG", "value": compact_json(dict(parameters))})


def _entry(text: str, entry: str, secret: str) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise RefusedError(f"invalid json encountered in key {entry} of storage secret {secret}: {error}") from error
    kind = stored.get("type")
    if kind is not None and kind not in TYPES:
        raise RefusedError(f"storage type must be one of [{', '.join(TYPES)}]. storage type [{kind}] is not supported")
    return stored


def _complete_uris(container: Object, kind: str, bucket: str) -> None:
    prefix = f"{SCHEME_PLACEHOLDER}://"
    arguments = container["args"]
    for index in range(0, len(arguments), 2):
        if not arguments[index].startswith(prefix):
            continue
        path = arguments[index].removeprefix(prefix)
        if kind == "s3" and not bucket:
            raise RefusedError(f"format [{kind}] requires a bucket but one wasn't found in storage data or parameters")
        arguments[index] = f"{kind}://{bucket}/{path}" if kind == "s3" else f"{kind}://{path}"
