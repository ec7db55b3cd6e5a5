"""KServe's webhooks: defaults and validation of InferenceServices and runtimes, the model in pods."""

from __future__ import annotations

from . import config as settings
from .admission import DeniedError, Handler, Request
from .api import Api
from .config import Config
from .controller import read_keys
from .defaulting import default_service
from .names import CONFIG_MAP, NAMESPACE, Object, RefusedError, annotations_of
from .pods import admit_pod
from .validation import complaint_about_runtime, complaint_about_service

MUTATE_SERVICE = "/mutate-serving-kserve-io-v1beta1-inferenceservice"
VALIDATE_SERVICE = "/validate-serving-kserve-io-v1beta1-inferenceservice"
VALIDATE_RUNTIME = "/validate-serving-kserve-io-v1alpha1-runtime"
MUTATE_POD = "/mutate-pods"


def handlers(api: Api) -> dict[str, Handler]:
    """Path -> handler, all on one connection to the cluster."""

    async def mutate_service(request: Request) -> Object:
        return default_service(request["object"], await _config(api))

    async def validate_service(request: Request) -> None:
        _deny(complaint_about_service(request["object"], request.get("oldObject")))

    async def validate_runtime(request: Request) -> None:
        _deny(complaint_about_runtime(request["object"], request.get("oldObject")))

    async def mutate_pod(request: Request) -> Object:
        pod, namespace = request["object"], request["namespace"]
        config = await _config(api)
        account = pod["spec"].get("serviceAccountName") or "default"
        keys = await read_keys(api, namespace, account, annotations_of(pod), config)
        try:
            return admit_pod(pod, namespace, config, keys)
        except RefusedError as refused:
            raise DeniedError(str(refused), 500) from refused

    return {
        MUTATE_SERVICE: mutate_service,
        VALIDATE_SERVICE: validate_service,
        VALIDATE_RUNTIME: validate_runtime,
        MUTATE_POD: mutate_pod,
    }


def _deny(complaint: str) -> None:
    if complaint:
        raise DeniedError(complaint)


async def _config(api: Api) -> Config:
    config_map = await api.get("ConfigMap", CONFIG_MAP, NAMESPACE)
    if config_map is None:
        raise DeniedError(f"ConfigMap {NAMESPACE}/{CONFIG_MAP} is missing", 500)
    return settings.read(config_map)
