"""A service whose endpoint wants a token, behind a guard as Open Data Hub's: who may `get` the service may ask.

The guard is a sidecar that asks the API server with the caller's own token, as kube-rbac-proxy does with a review.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import Right
from tests.unit.cluster.authority import Authority

from .accounts import Account
from .offers import image
from .ui_service import Ran, gguf, leaving_nothing, make, pvserve, runtime

pytestmark = pytest.mark.cluster
SERVICE_CA = "openshift-service-ca.crt"
GUARD = """
import http.server, os, ssl, urllib.error, urllib.request

host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
place = os.environ["PLACE"]
api = f"https://{host}:{port}/apis/serving.kserve.io/v1beta1/namespaces/{place}"
trust = ssl.create_default_context(cafile="/authority/ca.crt")

def status(address, **more):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, **more), timeout=60,
                                    context=trust if address.startswith("https") else None) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()

class Guard(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        sent = self.headers.get("Authorization", "")
        code, said = status(api, headers={"Authorization": sent}) if sent else (401, b"Unauthorized")
        if code == 200:
            headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
            code, said = status("http://127.0.0.1:8081" + self.path, data=body, headers=headers, method=self.command)
        self.send_response(code)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    do_POST = do_GET

server = http.server.ThreadingHTTPServer(("", 8443), Guard)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/certificate/tls.crt", "/certificate/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def guarded_runtime(cluster: Cluster) -> dict[str, Any]:
    """llama.cpp at a port that nobody is told of, and the guard at the one that the Service shows."""
    made = runtime()
    made["metadata"]["name"] = "guarded"
    serving = made["spec"]["containers"][0]
    serving["args"] = [item.replace("8080", "8081") for item in serving["args"]]
    serving["ports"] = [{"name": "https", "containerPort": 8443, "protocol": "TCP"}]
    for probe in ("readinessProbe", "livenessProbe"):
        serving[probe]["httpGet"]["port"] = 8081
    guard = {
        "name": "guard",
        "image": image("llama"),
        "command": ["python3", "-c", GUARD],
        "env": [{"name": "PLACE", "value": f"{cluster.namespace}/inferenceservices/granite"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": serving["securityContext"],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1, "failureThreshold": 120},
        "volumeMounts": [
            {"name": "authority", "mountPath": "/authority", "readOnly": True},
            {"name": "certificate", "mountPath": "/certificate", "readOnly": True},
        ],
    }
    made["spec"]["containers"].append(guard)
    made["spec"]["volumes"] += [
        {"name": "authority", "configMap": {"name": "kube-root-ca.crt"}},
        {"name": "certificate", "secret": {"secretName": "guard"}},
    ]
    return made


def certificate(cluster: Cluster, directory: Path) -> None:
    """The guard's certificate, and its authority where OpenShift has that of its own."""
    directory.mkdir()
    authority = Authority(directory)
    pair = authority.sign("guard", f"granite-predictor.{cluster.namespace}.svc")
    files = {"tls.crt": pair.certificate, "tls.key": pair.key}
    data = {key: base64.b64encode(file.read_bytes()).decode() for key, file in files.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "guard"}, "type": "kubernetes.io/tls"}
    known = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SERVICE_CA}}
    make(cluster, {**secret, "data": data}, {**known, "data": {"service-ca.crt": authority.file.read_text()}})


def answers(ran: Ran) -> dict[str, Any]:
    """The check of the endpoint."""
    [check] = [check for check in ran.lines[-1]["proof"]["checks"] if check["name"] == "answers"]
    return dict(check)


def test_guarded_endpoint_is_proven_with_a_token_that_nobody_sees(cluster: Cluster, tmp_path: Path) -> None:
    if cluster.find("v1", "ConfigMap", SERVICE_CA) is not None:
        pytest.skip("the cluster signs certificates of Services itself")
    certificate(cluster, tmp_path / "pki")
    make(cluster, guarded_runtime(cluster))
    command = ["deploy", gguf(tmp_path / "granite", 1_000_000), "--runtime", "guarded", "--name", "granite"]
    made = pvserve(*command, "--claim", "cache", "-n", cluster.namespace, "-y")
    assert made.code == 10, made.explained()
    refused = answers(made)
    assert refused["result"] == "unknown"
    assert "without a token: HTTP 401; there is no service account granite-sa" in refused["evidence"]
    assert "--token-file" in refused["remedy"][0]
    assert {result for check, result in made.checks.items() if check != "answers"} == {"passed"}
    verify = ["verify", "granite", "--quick", "-n", cluster.namespace]
    _check_token_of_a_file(cluster, tmp_path, verify)
    _check_token_of_the_account(cluster, verify)


def _check_token_of_a_file(cluster: Cluster, tmp_path: Path, verify: list[str]) -> None:
    """One that may not get the service, and one that may."""
    place = cluster.namespace
    for number, rights, code in (
        (1, [], 10),
        (2, [Right("get", "serving.kserve.io", "inferenceservices", place)], 0),
    ):
        token = Account(cluster, place, rights).token()
        file = tmp_path / f"token-{number}"
        file.write_text(token + "\n")
        ran = pvserve(*verify, "--token-file", file)
        assert ran.code == code, ran.explained()
        assert "with the token given" in answers(ran)["evidence"]
        assert token not in ran.out + ran.err


def _check_token_of_the_account(cluster: Cluster, verify: list[str]) -> None:
    """As the dashboard makes it: account, Role and binding."""
    right = {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["get"]}
    rbac = "rbac.authorization.k8s.io"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "granite-sa"}}
    role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": "granite-view-role"}}
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "granite-view"},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "granite-view-role"},
        "subjects": [{"kind": "ServiceAccount", "name": "granite-sa", "namespace": cluster.namespace}],
    }
    make(cluster, account, {**role, "rules": [{**right, "resourceNames": ["granite"]}]}, binding)
    for said in ({}, {"security.opendatahub.io/enable-auth": "true"}):
        service = ("serving.kserve.io/v1beta1", "InferenceService", "granite", cluster.namespace)
        cluster.patch(*service, {"metadata": {"annotations": said}})
        ran = pvserve(*verify)
        assert ran.code == 0, ran.explained()
        evidence = answers(ran)["evidence"]
        assert "with a token of service account granite-sa" in evidence
        assert "(TLS)" in evidence
        assert "eyJ" not in ran.out + ran.err
