"""How a model gets into a pod: a claim mounted, or the storage initializer and an emptyDir. Pure.

`add_model` is what the pod webhook does for one `storageUri`; `add_models` what the controller does for `storageUris`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from .config import Config
from .credentials import Keys, add_account_credentials, add_storage_key
from .modelcar import add_modelcar, is_image
from .names import (
    CLAIM_VOLUME,
    INITIALIZER,
    MODEL_PATH,
    NAMESPACE,
    PROVISION_VOLUME,
    READ_ONLY,
    SERVING_CONTAINER,
    TRANSFORMER_CONTAINER,
    WORKER_CONTAINER,
    Object,
    RefusedError,
    container,
    env_value,
    set_env,
)

# KServe speeds up downloads from Hugging Face with these.
HUGGING_FACE = (
    ("HF_HUB_ENABLE_HF_TRANSFER", "1"),
    ("HF_XET_HIGH_PERFORMANCE", "1"),
    ("HF_XET_NUM_CONCURRENT_RANGE_GETS", "8"),
)
CA_VOLUME = "cabundle-cert"
GLOBAL_CA_MAP = "global-ca-bundle"


@dataclass(frozen=True)
class Source:
    """What decides how a model is fetched, beside its URI.

    `key` and `parameters` are `storage.key` and `storage.parameters`; key None means there is no `storage`.
    """

    namespace: str
    config: Config
    annotations: Mapping[str, str] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    key: str | None = None
    parameters: Mapping[str, str] | None = None

    @property
    def read_only(self) -> bool:
        """Serving containers mount the model read-only unless an annotation says "false"."""
        return self.annotations.get(READ_ONLY) != "false"


@dataclass(frozen=True)
class Mount:
    """One volume in one place; `claim` "" means an emptyDir."""

    volume: str
    path: str
    sub_path: str = ""
    claim: str = ""


def add_model(pod: Object, uri: str, source: Source) -> None:
    """Puts one model at /mnt/models; changes the pod spec. An `oci://` model is left to `modelcar`."""
    if is_image(uri) or _has_initializer(pod):
        return
    users = _users(pod)
    if uri.startswith("pvc://"):
        claim, _, path = uri.removeprefix("pvc://").partition("/")
        _mount(pod, users, Mount(CLAIM_VOLUME, MODEL_PATH, path, claim), read_only=source.read_only)
    else:
        initializer = _add_initializer(pod, [uri, MODEL_PATH], source)
        _mount(pod, [*users, initializer], Mount(PROVISION_VOLUME, MODEL_PATH), read_only=source.read_only)
        _finish_initializer(pod, initializer, source)
    serving = users[0]
    if env_value(serving.get("env"), "STORAGE_URI"):
        set_env(serving, "STORAGE_URI", MODEL_PATH)


def add_models(pod: Object, uris: Sequence[Object], source: Source) -> None:
    """Puts several models at their own places; changes the pod spec.

    Each claim becomes a volume of its own and its path is NOT honoured: KServe mounts the claim's root here.
    """
    users = _users(pod)
    images = [item for item in uris if is_image(item["uri"])]
    for index, item in enumerate(images):
        add_modelcar(pod, item["uri"], item["mountPath"], users, source.config, index)
    if _has_initializer(pod):
        return
    for item in uris:
        if item["uri"].startswith("pvc://"):
            claim = item["uri"].removeprefix("pvc://").partition("/")[0]
            volume = Mount(_volume_name(item["mountPath"]), item["mountPath"], claim=claim)
            _mount(pod, users, volume, read_only=source.read_only)
    downloads = [item for item in uris if item not in images and not item["uri"].startswith("pvc://")]
    if downloads:
        pairs = [text for item in downloads for text in (item["uri"], item["mountPath"])]
        initializer = _add_initializer(pod, pairs, source)
        parent = _common_parent([item["mountPath"] for item in downloads])
        _mount(pod, [*users, initializer], Mount(_volume_name(parent), parent), read_only=source.read_only)
        _finish_initializer(pod, initializer, source)


def _users(pod: Object) -> list[Object]:
    """The containers that read the model: the serving one (or a worker's) first."""
    first = container(pod, SERVING_CONTAINER)
    if first is None:
        first = container(pod, WORKER_CONTAINER)
    if first is None:
        raise RefusedError("Invalid configuration: cannot find container")
    transformer = container(pod, TRANSFORMER_CONTAINER)
    return [first] if transformer is None else [first, transformer]


def _has_initializer(pod: Object) -> bool:
    return any(item["name"] == INITIALIZER for item in pod.get("initContainers") or ())


def _mount(pod: Object, users: Sequence[Object], mount: Mount, *, read_only: bool) -> None:
    for user in users:
        mounts = user.setdefault("volumeMounts", [])
        if any(item["name"] == mount.volume for item in mounts):
            continue
        entry: Object = {"name": mount.volume, "mountPath": mount.path}
        if mount.sub_path:
            entry["subPath"] = mount.sub_path
        if read_only and user["name"] != INITIALIZER:
            entry["readOnly"] = True
        mounts.append(entry)
    volumes = pod.setdefault("volumes", [])
    if not any(item["name"] == mount.volume for item in volumes):
        kind: Object = {"persistentVolumeClaim": {"claimName": mount.claim}} if mount.claim else {"emptyDir": {}}
        volumes.append({"name": mount.volume, **kind})


def _add_initializer(pod: Object, arguments: list[str], source: Source) -> Object:
    settings = source.config.initializer
    resources = {
        "limits": {"cpu": settings["cpuLimit"], "memory": settings["memoryLimit"]},
        "requests": {"cpu": settings["cpuRequest"], "memory": settings["memoryRequest"]},
    }
    initializer: Object = {
        "name": INITIALIZER,
        "image": settings["image"],
        "args": arguments,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": resources,
    }
    pod.setdefault("initContainers", []).append(initializer)
    return initializer


def _finish_initializer(pod: Object, initializer: Object, source: Source) -> None:
    if source.key is not None and source.parameters is not None:
        add_storage_key(initializer, source.key, source.parameters, source.annotations, source.config, source.keys)
    else:
        add_account_credentials(initializer, source.annotations, source.config, source.keys)
    _add_authorities(pod, initializer, source)
    for name, value in HUGGING_FACE:
        if not any(item["name"] == name for item in initializer.get("env") or ()):
            set_env(initializer, name, value)


def _add_authorities(pod: Object, initializer: Object, source: Source) -> None:
    """Mounts a ConfigMap of certificate authorities where the settings or the credentials name one."""
    env = initializer.get("env")
    configured = source.config.initializer.get("caBundleConfigMapName", "")
    own = env_value(env, "AWS_CA_BUNDLE_CONFIGMAP")
    if not configured and own is None:
        return
    name = own or (configured if source.namespace == NAMESPACE else GLOBAL_CA_MAP)
    place = source.config.initializer.get("caBundleVolumeMountPath") or "/etc/ssl/custom-certs"
    bundle = env_value(env, "AWS_CA_BUNDLE")
    if bundle:
        place = str(PurePosixPath(bundle).parent)
    set_env(initializer, "CA_BUNDLE_CONFIGMAP_NAME", name)
    set_env(initializer, "CA_BUNDLE_VOLUME_MOUNT_POINT", place)
    pod.setdefault("volumes", []).append({"name": CA_VOLUME, "configMap": {"name": name}})
    initializer.setdefault("volumeMounts", []).append({"name": CA_VOLUME, "mountPath": place, "readOnly": True})


def _volume_name(path: str) -> str:
    return path.strip("/").replace("/", "-")


def _common_parent(paths: Sequence[str]) -> str:
    """The deepest directory that holds all paths; a single path is its own."""
    if len(paths) == 1:
        return paths[0]
    shared = []
    for parts in zip(*(path.strip("/").split("/") for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/" + "/".join(shared)
