"""ServiceAccounts with exactly the rights that a test gives them, and ways to reach the cluster as one."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from pvserve.cluster import Cluster
from pvserve.facts import Right

from .offers import until

RBAC = "rbac.authorization.k8s.io"


class Account:
    """A ServiceAccount in `namespace` with `rights`; cluster-wide ones only where `cluster` may give them."""

    def __init__(self, cluster: Cluster, namespace: str, rights: Iterable[Right]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.name = f"limited-{uuid.uuid4().hex[:6]}"
        cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self._metadata()})
        wanted = list(rights)
        self._grant("Role", [right for right in wanted if right.namespace])
        self._grant("ClusterRole", [right for right in wanted if not right.namespace])

    def _may(self, right: Right) -> bool:
        """Whether the API server knows of it: its authorizer hears of a new binding a moment later."""
        resource, _, below = right.resource.partition("/")
        asked = {"verb": right.verb, "group": right.group, "resource": resource, "subresource": below}
        spec = {"user": self.user, "resourceAttributes": {**asked, "namespace": right.namespace}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer = self._cluster.raw("POST", path, json.dumps(review).encode(), {"Content-Type": "application/json"})
        return bool(answer.json()["status"]["allowed"])

    @property
    def user(self) -> str:
        """As RBAC names it."""
        return f"system:serviceaccount:{self._namespace}:{self.name}"

    def token(self, seconds: int = 3600, bound_to: str = "") -> str:
        """A new token; the API server makes none that lasts less than ten minutes.

        With `bound_to` it ends with the Secret of this name, which is made for it and is empty.
        """
        path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{self.name}/token"
        spec: dict[str, Any] = {"expirationSeconds": seconds}
        if bound_to:
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {**self._metadata(), "name": bound_to}}
            uid = self._cluster.create(secret)["metadata"]["uid"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Secret", "name": bound_to, "uid": uid}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = self._cluster.raw("POST", path, json.dumps(request).encode(), {"Content-Type": "application/json"})
        return str(answer.json()["status"]["token"])

    def kubeconfig(self, directory: Path, **cluster: str) -> Path:
        """A kubeconfig of the account, with its namespace; `cluster` overrides entries, as server="https://…"."""
        return write_kubeconfig(
            directory / f"{self.name}.kubeconfig", self._namespace, {"token": self.token()}, **cluster
        )

    def connect(self, directory: Path) -> Cluster:
        """The cluster, as the account."""
        return Cluster.connect(kubeconfig=str(self.kubeconfig(directory)))

    def _metadata(self) -> dict[str, str]:
        return {"name": self.name, "namespace": self._namespace}

    def _grant(self, kind: str, rights: list[Right]) -> None:
        if not rights:
            return
        name = self.name if kind == "Role" else f"{self._namespace}-{self.name}"
        metadata = {"name": name, **({"namespace": self._namespace} if kind == "Role" else {})}
        rules = [{"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]} for right in rights]
        api = f"{RBAC}/v1"
        self._cluster.create({"apiVersion": api, "kind": kind, "metadata": metadata, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": self.name, "namespace": self._namespace}
        reference = {"apiGroup": RBAC, "kind": kind, "name": name}
        binding = {"apiVersion": api, "kind": f"{kind}Binding", "metadata": metadata}
        self._cluster.create({**binding, "subjects": [subject], "roleRef": reference})
        until("the rights are in force", lambda: self._may(rights[-1]), every=0.05)

    def forget(self) -> None:
        """Removes what is cluster-wide; the rest goes with the namespace."""
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            self._cluster.delete(f"{RBAC}/v1", kind, f"{self._namespace}-{self.name}")


def write_kubeconfig(path: Path, namespace: str, user: dict[str, Any], **cluster: str) -> Path:
    """A kubeconfig for the cluster of $KUBECONFIG and another user."""
    from kubernetes import client, config

    found = client.Configuration()
    config.load_kube_config(os.environ["KUBECONFIG"], client_configuration=found)
    where: dict[str, Any] = {"server": found.host, **cluster}
    if found.ssl_ca_cert:
        where["certificate-authority-data"] = base64.b64encode(Path(found.ssl_ca_cert).read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "clusters": [{"name": "test", "cluster": where}],
        "users": [{"name": "test", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    path.chmod(0o600)
    return path


def admin_kubeconfig(namespace: str, **cluster: str) -> Path:
    """The test's own user, at another address of the same cluster."""
    directory = Path(tempfile.mkdtemp(prefix="pvserve-test-"))
    from kubernetes import client, config

    found = client.Configuration()
    config.load_kube_config(os.environ["KUBECONFIG"], client_configuration=found)
    user: dict[str, Any] = {}
    if found.cert_file:
        user = {"client-certificate": found.cert_file, "client-key": found.key_file}
    bearer = (found.auth_settings().get("BearerToken") or {}).get("value")
    if bearer:
        user["token"] = str(bearer).removeprefix("Bearer ")
    return write_kubeconfig(directory / "kubeconfig", namespace, user, **cluster)
