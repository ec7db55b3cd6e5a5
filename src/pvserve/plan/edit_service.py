"""An InferenceService that takes its model from a claim, made from one that takes it from elsewhere.

Owns which fields say where a model comes from, and their exact, minimal edit; every other field stays as it is,
unknown ones too. Pure. Sources: KServe v1beta1 (pkg/apis/serving/v1beta1/predictor.go, component.go); Open Data Hub's
webhook (opendatahub-operator internal/webhook/serving/mutating_isvc.go).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from pvserve.facts import Object, annotations_of, name
from pvserve.plan.copies import copy_of
from pvserve.plan.listed import MODEL_DIRECTORY, Listed, copied, listed, mount_instead, mount_patch
from pvserve.plan.llm_service import URI, is_llm, llm_uri, most_replicas, pod_spec_of, set_uri, uri_patch

API, KIND = "serving.kserve.io/v1beta1", "InferenceService"
CONNECTION, CONNECTION_PATH = "opendatahub.io/connections", "opendatahub.io/connection-path"
STOP = "serving.kserve.io/stop"
READ_ONLY = "storage.kserve.io/readonly"
MANAGED_BY = "app.kubernetes.io/managed-by"
STORAGE_FIELDS = ("storage", "storageUri", "storageUris")
# Keys of a predictor that are no framework (PodSpec and ComponentExtensionSpec hold strings, lists and these mappings).
_OF_FRAMEWORK = frozenset({*STORAGE_FIELDS, "runtimeVersion", "volumeMounts"})
_NO_FRAMEWORK = frozenset(
    {"model", "workerSpec", "affinity", "securityContext", "nodeSelector", "labels", "annotations"}
)
GENERATIVE = ("vllm", "gguf", "caikit", "tgis")  # formats of language models
_ENVIRONMENT = "STORAGE_URI"

Form = Literal["model", "framework", "environment", "llm", "none"]


@dataclass(frozen=True)
class Storage:
    """Where a predictor says that its model is: the mapping that says so (by path), its form, and what it says."""

    form: Form
    path: tuple[str, ...] = ()
    uri: str = ""
    key: str = ""  # of `storage`: a connection, or an entry of KServe's storage-config
    listed: Listed | None = None  # where a list says it, or a mount that pvserve put in its place

    @property
    def directory(self) -> str:
        """Where pods have the model."""
        return self.listed.directory if self.listed else MODEL_DIRECTORY

    @property
    def words(self) -> str:
        """For people."""
        return self.uri or (f"object storage by key {self.key}" if self.key else "nowhere that it names")


def storage_of(service: Object) -> Storage:
    """Where the service's model is today."""
    if is_llm(service):
        return Storage("llm", URI[1:-1], llm_uri(service))
    predictor = service["spec"].get("predictor") or {}
    path, holder = _holder(predictor)
    uris = [*(holder.get("storageUris") or ()), *(predictor.get("storageUris") or ())]
    first = str(uris[0].get("uri", "")) if uris else ""
    form: Form = "none" if not path else "model" if path == ("model",) else "framework"
    found = listed(predictor, path)
    if path:
        key = "" if found and found.moved else str((holder.get("storage") or {}).get("key") or "")
        uri = found.uri if found else str(holder.get("storageUri") or first)
        return Storage(form, path, uri, key, found)
    if found:
        return Storage(form, path, found.uri, listed=found)
    for container in predictor.get("containers") or ():
        for variable in container.get("env") or ():
            if variable.get("name") == _ENVIRONMENT:
                return Storage("environment", (), str(variable.get("value") or ""))
    return Storage("none")


def _holder(predictor: Object) -> tuple[tuple[str, ...], Object]:
    """`model`, or the older form with the framework as key (`sklearn: {storageUri: …}`)."""
    if isinstance(predictor.get("model"), dict):
        return ("model",), predictor["model"]
    for key, value in predictor.items():
        if isinstance(value, dict) and key not in _NO_FRAMEWORK and value.keys() & _OF_FRAMEWORK:
            return (key,), value
    return (), {}


def new_service(origin: Object, service: str, namespace: str, runtime: str, uri: str) -> dict[str, Any]:
    """The service to be: `origin` with another name, runtime link (where `runtime` is given) and its model at `uri`."""
    made = copy_of(origin, service, namespace)
    _without_connection(made, origin)
    made["metadata"].setdefault("labels", {})[MANAGED_BY] = "pvserve"
    storage = storage_of(origin)
    if storage.form == "llm":
        set_uri(made, uri)
        return made
    predictor = made["spec"]["predictor"]
    if storage.listed:
        mount_instead(predictor, storage.path, uri, writable=_writable(origin))
        _link(predictor, storage, runtime)
        return made
    predictor.pop("storageUris", None)
    if storage.form == "environment":
        _set_environment(predictor, uri)
    else:
        holder = predictor.setdefault((storage.path or ("model",))[0], {})
        for field in STORAGE_FIELDS:
            holder.pop(field, None)
        holder["storageUri"] = uri
        if runtime:
            holder["runtime"] = runtime
    return made


def _link(predictor: dict[str, Any], storage: Storage, runtime: str) -> None:
    """The runtime; and `storage` goes, but for entries that stay in the list, whose credentials it names."""
    holder = predictor[storage.path[0]] if storage.path else {}
    if storage.listed and not copied(storage.listed.others):
        holder.pop("storage", None)
    if runtime and storage.path:
        holder["runtime"] = runtime


def _writable(service: Object) -> bool:
    return annotations_of(service).get(READ_ONLY) == "false"


def fresh_service(service: str, namespace: str, model_format: str, runtime: str, uri: str) -> dict[str, Any]:
    """A service for a model on a claim where there is none to start from."""
    model: dict[str, Any] = {"modelFormat": {"name": model_format}, "storageUri": uri}
    if runtime:
        model["runtime"] = runtime
    labels = {MANAGED_BY: "pvserve", "opendatahub.io/dashboard": "true"}
    kind = "generative" if model_format.lower() in GENERATIVE else "predictive"
    # Of what the dashboard's wizard writes (odh-dashboard packages/kserve, deployUtils.ts), what is known here.
    annotations = {"openshift.io/display-name": service, "opendatahub.io/model-type": kind}
    return {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {"name": service, "namespace": namespace, "labels": labels, "annotations": annotations},
        "spec": {"predictor": {"model": model}},
    }


def storage_patch(service: Object, uri: str) -> dict[str, Any]:
    """The merge patch that makes the service take its model from `uri`, and nothing else."""
    storage = storage_of(service)
    if storage.form == "llm":
        return uri_patch(service, uri)
    if storage.listed:
        found = mount_patch(service["spec"]["predictor"], storage.path, uri, writable=_writable(service))
        if storage.path and not copied(storage.listed.others):
            found[storage.path[0]]["storage"] = None
        return {"spec": {"predictor": found}}
    predictor: dict[str, Any] = {}
    if service["spec"]["predictor"].get("storageUris"):
        predictor["storageUris"] = None
    if storage.form == "environment":
        edited: dict[str, Any] = {"containers": deepcopy(service["spec"]["predictor"]["containers"])}
        _set_environment(edited, uri)
        return {"spec": {"predictor": {**predictor, **edited}}}
    path = (storage.path or ("model",))[0]
    holder = service["spec"]["predictor"].get(path) or {}
    fields: dict[str, Any] = {field: None for field in STORAGE_FIELDS if field in holder}
    return {"spec": {"predictor": {**predictor, path: {**fields, "storageUri": uri}}}}


def uri_path(service: Object) -> tuple[str, ...]:
    """The path of the field that `storage_patch` sets, () where it is an environment variable or a mount."""
    storage = storage_of(service)
    if storage.form == "llm":
        return URI
    return (
        ()
        if storage.form == "environment" or storage.listed
        else ("spec", "predictor", (storage.path or ("model",))[0], "storageUri")
    )


def _without_connection(made: dict[str, Any], origin: Object) -> None:
    """Takes away what would bring the old storage back: the webhook injects it into every new service that names it."""
    secret = annotations_of(origin).get(CONNECTION)
    kept = {k: v for k, v in annotations_of(made).items() if k not in (CONNECTION, CONNECTION_PATH, STOP)}
    made["metadata"].pop("annotations", None)
    if kept:
        made["metadata"]["annotations"] = kept
    predictor = made["spec"].get("template") or {} if is_llm(made) else made["spec"]["predictor"]
    if secret and predictor.get("serviceAccountName") == f"{secret}-sa":  # injected with the connection, goes with it
        del predictor["serviceAccountName"]
    pulls = [item for item in predictor.get("imagePullSecrets") or () if item.get("name") != secret]
    if secret and pulls != (predictor.get("imagePullSecrets") or []):
        predictor["imagePullSecrets"] = pulls
        if not pulls:
            del predictor["imagePullSecrets"]


def _set_environment(predictor: dict[str, Any], uri: str) -> None:
    for container in predictor["containers"]:
        for variable in container.get("env") or ():
            if variable.get("name") == _ENVIRONMENT:
                variable["value"] = uri
                variable.pop("valueFrom", None)


def runtime_name(service: Object) -> str:
    """The runtime that the service names, "" where KServe chooses one."""
    _, holder = _holder(service["spec"].get("predictor") or {})
    return str(holder.get("runtime") or "")


def placement_of(service: Object | None, runtime: Object | None) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Node selector and tolerations of the pods that will serve: those of the runtime, and the service's over them."""
    spec_of: Any = (service or {}).get("spec", {})
    predictor: Any = pod_spec_of(service) if service is not None and is_llm(service) else spec_of.get("predictor") or {}
    spec: Any = (runtime or {}).get("spec") or {}
    selector = {**(spec.get("nodeSelector") or {}), **(predictor.get("nodeSelector") or {})}
    tolerations = [*(spec.get("tolerations") or ()), *(predictor.get("tolerations") or ())]
    return selector, [dict(item) for item in tolerations]


def replicas_of(service: Object) -> int:
    """The most replicas that the service may have; 0 of maxReplicas means no limit and counts as two."""
    if is_llm(service):
        return most_replicas(service)
    predictor = service["spec"].get("predictor") or {}
    least, most = predictor.get("minReplicas"), predictor.get("maxReplicas")
    if most == 0:
        return max(2, least or 0)
    return max(least if isinstance(least, int) else 1, most if isinstance(most, int) else 1)


def made_by_pvserve(obj: Object) -> bool:
    """Whether pvserve made the object, by its label."""
    return bool((obj["metadata"].get("labels") or {}).get(MANAGED_BY) == "pvserve")


def title_of(service: Object) -> str:
    """The service in words, as the dashboard shows it."""
    shown = annotations_of(service).get("openshift.io/display-name")
    return f"{name(service)} ({shown})" if shown else name(service)
