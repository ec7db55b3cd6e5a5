"""A model in an OCI image: a sidecar of that image whose files the server reaches through /proc. Pure.

Only KServe's modelcar mode; `oci+native://` and `oci+fetch://` are refused by name.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from .config import Config
from .names import MODEL_PATH, PROVISION_VOLUME, Object, RefusedError, container, set_env


def is_image(uri: str) -> bool:
    """Whether a storageUri names an OCI image."""
    return uri.startswith(("oci://", "oci+"))


def add_modelcar(pod: Object, uri: str, path: str, users: Sequence[Object], config: Config, index: int = 0) -> None:
    """Makes the image's /models visible at `path` in the given containers; changes the pod spec.

    Args:
        users: containers of `pod`.
        index: counts a pod's images from 0; later ones get names of their own.

    Raises:
        RefusedError: modelcars are switched off, or the URI asks for another way.
    """
    if not uri.startswith("oci://") and not uri.startswith("oci+modelcar://"):
        raise RefusedError(f"the KServe emulator knows modelcars only, not {uri.partition('://')[0]}://")
    if not config.initializer.get("enableModelcar"):
        raise RefusedError(
            f"enableModelcar is off in ConfigMap kserve/inferenceservice-config, so {uri} cannot be served"
        )
    suffix = f"-{index}" if index else ""
    volume = PROVISION_VOLUME + suffix
    parent = str(PurePosixPath(path).parent)
    uid = config.initializer.get("uidModelcar")
    volumes = pod.setdefault("volumes", [])
    if not any(item["name"] == volume for item in volumes):
        volumes.append({"name": volume, "emptyDir": {}})
    for user in users:
        set_env(user, "MODEL_INIT_MODE", "async")  # the link may appear after the server has started
        mounts = user.setdefault("volumeMounts", [])
        if not any(item["name"] == volume for item in mounts):
            mounts.append({"name": volume, "mountPath": parent})
        if uid is not None:
            user.setdefault("securityContext", {})["runAsUser"] = uid
    if container(pod, f"modelcar{suffix}") is None:
        image = uri.partition("://")[2]
        pod["containers"].append(_sidecar(f"modelcar{suffix}", image, path, volume, config))
        pod.setdefault("initContainers", []).append(_prefetch(f"modelcar-init{suffix}", image, config))
    pod["shareProcessNamespace"] = True


def _sidecar(name: str, image: str, path: str, volume: str, config: Config) -> Object:
    # Kubernetes makes $$ of $$$$, and the shell makes its own process number of that.
    link = f"ln -sf /proc/$$$$/root/models {shlex.quote(path)} && sleep infinity"
    parent = str(PurePosixPath(path).parent)
    sidecar = _small_container(
        name, image, link if path == MODEL_PATH else f"mkdir -p {shlex.quote(parent)} && {link}", config
    )
    sidecar["volumeMounts"] = [{"name": volume, "mountPath": parent}]
    if config.initializer.get("uidModelcar") is not None:
        sidecar["securityContext"] = {"runAsUser": config.initializer["uidModelcar"]}
    return sidecar


def _prefetch(name: str, image: str, config: Config) -> Object:
    """An init container of the same image, so that a missing image or an empty one shows before the server starts."""
    check = (
        f"echo 'Pre-fetching modelcar {image}: ' && [ -d /models ] && [ \"$$(ls -A /models)\" ] && "
        "echo 'OK ... Prefetched and valid (/models exists)' || "
        "(echo 'NOK ... Prefetched but modelcar is invalid (/models does not exist or is empty)' && exit 1)"
    )
    return _small_container(name, image, check, config)


def _small_container(name: str, image: str, script: str, config: Config) -> Object:
    size = {
        "cpu": config.initializer.get("cpuModelcar") or "10m",
        "memory": config.initializer.get("memoryModelcar") or "15Mi",
    }
    return {
        "name": name,
        "image": image,
        "args": ["sh", "-c", script],
        "resources": {"limits": dict(size), "requests": dict(size)},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
