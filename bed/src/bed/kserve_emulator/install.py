"""What the emulator needs on a cluster before it runs: definitions, namespace, settings, webhook registrations."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .admission import certificates
from .api import Api
from .config import default_map
from .crd.definitions import custom_resource_definitions
from .names import GROUP, NAMESPACE, SERVICE_LABEL, Object
from .webhooks import MUTATE_POD, MUTATE_SERVICE, VALIDATE_RUNTIME, VALIDATE_SERVICE

ESTABLISHED_SECONDS = 30.0


async def install(api: Api, state: Path, host: str, port: int, storage_initializer: str) -> None:
    """Puts everything there, or brings it to this version.

    Args:
        state: directory for the webhooks' certificates.
        host: address at which the API server reaches `run`.
        storage_initializer: image that downloads models.

    Raises:
        TimeoutError: the API server does not serve the new kinds in time.
    """
    definitions = custom_resource_definitions()
    await asyncio.gather(*(api.put(item) for item in definitions))
    await api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    await api.put(default_map(storage_initializer))
    _, _, authority = certificates(state, host)
    for item in webhook_configurations(f"https://{host}:{port}", authority):
        await api.put(item)
    async with asyncio.timeout(ESTABLISHED_SECONDS):
        for item in definitions:
            while not await _established(api, item["metadata"]["name"]):
                await asyncio.sleep(0.1)


async def _established(api: Api, name: str) -> bool:
    item = await api.get("CustomResourceDefinition", name)
    conditions = ((item or {}).get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


def webhook_configurations(url: str, authority: str) -> list[Object]:
    """The registrations, under KServe's own names, so that refusals read as KServe's do."""
    services = _rule(GROUP, "v1beta1", ["inferenceservices"], ["CREATE", "UPDATE"])
    runtimes = _rule(GROUP, "v1alpha1", ["servingruntimes", "clusterservingruntimes"], ["CREATE", "UPDATE"])
    pods = _rule("", "v1", ["pods"], ["CREATE"])
    server = "kserve-webhook-server"

    def hook(name: str, path: str, rule: Object) -> Object:
        return webhook(f"{name}", url + path, authority, rule)

    mutating = [
        hook(f"inferenceservice.{server}.defaulter", MUTATE_SERVICE, services),
        {
            **hook(f"inferenceservice.{server}.pod-mutator", MUTATE_POD, pods),
            "reinvocationPolicy": "IfNeeded",
            "objectSelector": {"matchExpressions": [{"key": SERVICE_LABEL, "operator": "Exists"}]},
        },
    ]
    validating = [
        hook(f"inferenceservice.{server}.validator", VALIDATE_SERVICE, services),
        hook(f"servingruntime.{server}.validator", VALIDATE_RUNTIME, runtimes),
    ]
    return [
        registration("MutatingWebhookConfiguration", f"inferenceservice.{GROUP}", mutating),
        registration("ValidatingWebhookConfiguration", f"inferenceservice.{GROUP}", validating),
    ]


def webhook(name: str, url: str, authority: str, rule: Object) -> Object:
    """One webhook; without an answer from it, the request fails."""
    return {
        "name": name,
        "clientConfig": {"url": url, "caBundle": authority},
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 10,
    }


def registration(kind: str, name: str, webhooks: list[Object]) -> Object:
    """A webhook configuration."""
    version = "admissionregistration.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "webhooks": webhooks}


def _rule(group: str, version: str, resources: list[str], operations: list[str]) -> Object:
    return {"apiGroups": [group], "apiVersions": [version], "resources": resources, "operations": operations}
