"""The service to start from where it lies in a file: as exported from a cluster, or as Git keeps it.

Owns how such a file is read. Must not know the cluster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pvserve.errors import UsageError
from pvserve.spec.names import FILE_SUFFIXES

MAX_BYTES = 4 << 20  # of a file with objects; an object in a cluster has at most 1.5 MiB (etcd)
SERVICES = ("InferenceService", "LLMInferenceService")
RUNTIMES = ("ServingRuntime", "ClusterServingRuntime", "Template")

Object = dict[str, Any]


@dataclass(frozen=True)
class Start:
    """The one service of a file, and the runtimes and Templates beside it."""

    service: Object
    runtimes: tuple[Object, ...] = ()


def is_file(origin: str | None) -> bool:
    """Whether `from` names a file and no service of a cluster: names of services have no dots."""
    return bool(origin) and str(origin).endswith(FILE_SUFFIXES)


def read_start(file: str, namespace: str) -> Start:
    """What `file` (YAML or JSON, of one or more objects) says; objects without a namespace get `namespace`.

    Raises:
        UsageError: `StartUnreadable`, when it cannot be read, is no YAML, or does not hold exactly one service.
    """
    found = list(_objects(_values(file)))
    services = [item for item in found if item["kind"] in SERVICES]
    if len(services) != 1:
        held = ", ".join(f"{item['kind']} {item['metadata'].get('name')}" for item in found) or "no object"
        why = f"it must hold one {' or '.join(SERVICES)}, and it holds {held}"
        raise _unreadable(file, why, "kubectl get inferenceservice NAME -o yaml > FILE.yaml writes such a file")
    for item in found:
        item["metadata"].pop("uid", None)  # of the cluster that it was exported from
        if item["kind"] != "ClusterServingRuntime":
            item["metadata"].setdefault("namespace", namespace)
    return Start(services[0], tuple(item for item in found if item["kind"] in RUNTIMES))


def _values(file: str) -> list[Any]:
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read(MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or str(error) if isinstance(error, OSError) else "it is no UTF-8 text"
        raise _unreadable(file, why, f"ls -l {file}") from None
    if len(text) > MAX_BYTES:
        raise _unreadable(file, f"it has more than {MAX_BYTES} characters", "name a file with the service's objects")
    try:
        return list(YAML(typ="safe", pure=True).load_all(text))
    except (YAMLError, RecursionError, ValueError) as error:
        why = str(error).splitlines()[0] if str(error) else "is no YAML"
        raise _unreadable(file, f"it is no YAML: {why}", f"kubectl apply --dry-run=client -f {file}") from None


def _objects(values: list[Any]) -> Iterator[Object]:
    """The objects, those inside of a List too; dates become text, as Kubernetes has them."""
    for value in values:
        if isinstance(value, Mapping) and str(value.get("kind", "")).endswith("List"):
            yield from _objects(list(value.get("items") or ()))
        elif isinstance(value, Mapping) and isinstance(value.get("metadata"), Mapping) and value.get("kind"):
            yield json.loads(json.dumps(value, default=str))


def _unreadable(file: str, why: str, remedy: str) -> UsageError:
    return UsageError("StartUnreadable", f"{file} cannot be started from: {why}", subject=file, remedy=(remedy,))
