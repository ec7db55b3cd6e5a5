"""The Kubernetes API, as far as the emulator needs it. The only module that sends HTTP requests.

Login is the official client's (it reads the kubeconfig); objects are plain dictionaries.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import aiohttp
import kubernetes

from .names import GROUP, Object

# Kind -> (API path, plural, whether it lives in a namespace).
KINDS = {
    "InferenceService": (f"/apis/{GROUP}/v1beta1", "inferenceservices", True),
    "LLMInferenceService": (f"/apis/{GROUP}/v1alpha1", "llminferenceservices", True),
    "ServingRuntime": (f"/apis/{GROUP}/v1alpha1", "servingruntimes", True),
    "ClusterServingRuntime": (f"/apis/{GROUP}/v1alpha1", "clusterservingruntimes", False),
    "Deployment": ("/apis/apps/v1", "deployments", True),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers", True),
    "Service": ("/api/v1", "services", True),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "Secret": ("/api/v1", "secrets", True),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "Pod": ("/api/v1", "pods", True),
    "Event": ("/api/v1", "events", True),
    "Namespace": ("/api/v1", "namespaces", False),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "MutatingWebhookConfiguration": ("/apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", False),
    "ValidatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        False,
    ),
}
MERGE_PATCH = "application/merge-patch+json"
SECONDS = 30.0


class ApiError(Exception):
    """The API server refused; `code` is the HTTP status, the text its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Api:
    """One connection pool to the cluster of a kubeconfig; use it as an async context manager."""

    def __init__(self, kubeconfig: str) -> None:
        self._login = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(config_file=kubeconfig, client_configuration=self._login)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        context = ssl.create_default_context(cafile=self._login.ssl_ca_cert)
        if self._login.cert_file:
            context.load_cert_chain(self._login.cert_file, self._login.key_file)
        token = self._login.get_api_key_with_prefix("authorization")
        self._session = aiohttp.ClientSession(
            base_url=self._login.host,
            connector=aiohttp.TCPConnector(ssl=context),
            headers={"Authorization": token} if token else {},
            timeout=aiohttp.ClientTimeout(total=SECONDS),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """One request; returns the parsed answer.

        Raises:
            ApiError: the API server refused.
        """
        assert self._session is not None, "use `async with Api(...)`"
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        async with self._session.request(method, path, data=data, params=params, headers=headers) as answer:
            text = await answer.text()
            if answer.status < 400:
                return json.loads(text)
            raise ApiError(answer.status, _message(text))

    async def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """One object, None if there is no such."""
        try:
            found: Object = await self.request("GET", _path(kind, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    async def list(self, kind: str, namespace: str = "", labels: str = "") -> list[Object]:
        """The objects of a namespace (or of all), by label selector."""
        params = {"labelSelector": labels} if labels else None
        items: list[Object] = (await self.request("GET", _path(kind, namespace), params=params))["items"]
        return items

    async def create(self, item: Object) -> Object:
        """Creates an object."""
        made: Object = await self.request("POST", _path(item["kind"], _namespace(item)), item)
        return made

    async def replace(self, item: Object, *, dry_run: bool = False, status: bool = False) -> Object:
        """Writes an object whole; `metadata.resourceVersion` guards against overwriting somebody's change."""
        path = _path(item["kind"], _namespace(item), item["metadata"]["name"])
        params = {"dryRun": "All"} if dry_run else None
        stored: Object = await self.request("PUT", path + ("/status" if status else ""), item, params)
        return stored

    async def merge(self, kind: str, name: str, namespace: str, patch: Object) -> Object:
        """Merge-patches an object."""
        path = _path(kind, namespace, name)
        stored: Object = await self.request("PATCH", path, patch, content_type=MERGE_PATCH)
        return stored

    async def delete(self, item: Object) -> None:
        """Deletes an object and what it owns, in the background; one that is gone is fine."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": item["metadata"]["uid"]}}
        try:
            await self.request("DELETE", _path(item["kind"], _namespace(item), item["metadata"]["name"]), body)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def put(self, item: Object) -> Object:
        """Creates an object, or replaces the one of its name."""
        stored = await self.get(item["kind"], item["metadata"]["name"], _namespace(item))
        if stored is None:
            return await self.create(item)
        version = {"resourceVersion": stored["metadata"]["resourceVersion"]}
        return await self.replace({**item, "metadata": {**item["metadata"], **version}})


def _path(kind: str, namespace: str, name: str = "") -> str:
    base, plural, namespaced = KINDS[kind]
    where = f"/namespaces/{namespace}" if namespaced and namespace else ""
    return f"{base}{where}/{plural}" + (f"/{name}" if name else "")


def _namespace(item: Object) -> str:
    found: str = item["metadata"].get("namespace", "")
    return found


def _message(text: str) -> str:
    """The message of a Kubernetes Status, or the start of whatever came."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:256]
