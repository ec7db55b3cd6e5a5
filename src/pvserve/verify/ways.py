"""How the model server is reached: through the API server's proxy of its Service, or a port-forward to a pod.

Owns the ports, TLS and how a token travels. Must not know what is asked.
The API server takes a request's Authorization for itself and never passes it on, so a token goes by port-forward.
Open Data Hub guards a service of annotation security.opendatahub.io/enable-auth with a sidecar (kube-rbac-proxy) at the
Service's port `https` (opendatahub-io/kserve, service_reconciler.go); its certificate is of the cluster's service CA.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pvserve.cluster import Cluster
from pvserve.errors import NotAllowed
from pvserve.facts import Object, name, namespace

TIMEOUT_SECONDS = 120.0
DEFAULT_PORT = 8080  # KServe's own default where a runtime names no port
SECURE = (443, 8443)
# OpenShift puts the CA of its Services' certificates into every namespace.
SERVICE_CA, SERVICE_CA_KEY = "openshift-service-ca.crt", "service-ca.crt"


@dataclass(frozen=True)
class Answer:
    """HTTP status and body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


Send = Callable[[str, str, bytes | None], Answer]  # method, path, body


@dataclass(frozen=True)
class Port:
    """A port of a pod; with `secure` it speaks TLS, with a certificate for `host`."""

    number: int
    secure: bool = False
    host: str = ""


@dataclass(frozen=True)
class Trust:
    """The authorities of a Service's certificate, PEM; "" where nobody knows them, and `words` for people."""

    authorities: str = field(default="", repr=False)

    @property
    def words(self) -> str:
        """What is said beside an answer over TLS."""
        return "" if self.authorities else f", certificate not checked: no ConfigMap {SERVICE_CA}"


def open_ways(cluster: Cluster, endpoint: Object | None, pods: Sequence[Object]) -> Iterator[tuple[str, Send]]:
    """Ways that carry no token, best first. `endpoint` is the Kubernetes Service before the pods."""
    if endpoint is not None and endpoint["spec"].get("ports"):
        yield f"services/proxy {name(endpoint)}", _through_proxy(cluster, endpoint)
    for pod in pods[:1]:
        number = serving_port(pod)
        yield f"port-forward to pod {name(pod)}:{number}", through_forward(cluster, pod, Port(number))


def guarded_way(cluster: Cluster, endpoint: Object | None, pod: Object) -> tuple[str, Callable[[str], Send]]:
    """The way to the port that the Service shows, which is the guarded one; takes the token, "" for none."""
    port = guarded_port(endpoint, pod)
    trust = service_ca(cluster) if port.secure else Trust()
    words = f"port-forward to pod {name(pod)}:{port.number}" + (f" (TLS{trust.words})" if port.secure else "")
    return words, lambda token: through_forward(cluster, pod, port, trust, token)


def guarded_port(endpoint: Object | None, pod: Object) -> Port:
    """The pod's port behind the Service's port `https`, else behind its first; where there is no Service, the serving
    one."""
    ports = (endpoint or {}).get("spec", {}).get("ports") or ()
    if endpoint is None or not ports:
        return Port(serving_port(pod))
    shown = next((port for port in ports if _secure(port)), ports[0])
    target = shown.get("targetPort", shown["port"])
    number = target if isinstance(target, int) else _named_port(pod, str(target)) or int(shown["port"])
    return Port(number, _secure(shown), f"{name(endpoint)}.{namespace(endpoint)}.svc")


def _secure(port: Object) -> bool:
    return port.get("name") == "https" or port.get("appProtocol") == "https" or port.get("port") in SECURE


def _named_port(pod: Object, wanted: str) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == wanted:
                return int(port["containerPort"])
    return 0


def serving_port(pod: Object) -> int:
    """The first port that a container names."""
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            return int(port["containerPort"])
    return DEFAULT_PORT


def service_ca(cluster: Cluster) -> Trust:
    """The authorities that the namespace has for certificates of Services."""
    found = cluster.find("v1", "ConfigMap", SERVICE_CA, cluster.namespace)
    data = (found.get("data") or {}) if isinstance(found, dict) else {}
    return Trust(str(data.get(SERVICE_CA_KEY) or ""))


def _through_proxy(cluster: Cluster, endpoint: Object) -> Send:
    port = endpoint["spec"]["ports"][0]
    scheme = "https" if _secure(port) else "http"
    base = f"/api/v1/namespaces/{namespace(endpoint)}/services/{scheme}:{name(endpoint)}:{port['port']}/proxy"

    def send(method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        response = cluster.raw(method, base + path, body=body, headers=headers, timeout=TIMEOUT_SECONDS)
        status = response.json()  # {} where the body is none
        if response.status == 403 and status.get("kind") == "Status":  # of the API server: the next way may be open
            raise NotAllowed("Forbidden", str(status.get("message")))
        return Answer(response.status, response.body)

    return send


class _StreamConnection(http.client.HTTPConnection):
    """HTTP over a stream that is already open."""

    def __init__(self, stream: socket.socket) -> None:
        super().__init__("127.0.0.1", timeout=TIMEOUT_SECONDS)
        self.sock = stream


def through_forward(cluster: Cluster, pod: Object, port: Port, trust: Trust | None = None, token: str = "") -> Send:
    """Requests to `port` of the pod, with `token` where it is not empty."""

    def send(method: str, path: str, body: bytes | None) -> Answer:
        with cluster.forward(name(pod), namespace(pod), port.number) as tunnel:
            stream = over_tls(tunnel, port.host, trust or Trust()) if port.secure else tunnel
            return ask(stream, method, path, body, token)

    return send


def over_tls(stream: socket.socket, host: str, trust: Trust) -> socket.socket:
    """TLS over the stream. Raises ssl.SSLError where the certificate is not of the authorities, or not for `host`."""
    context = ssl.create_default_context(cadata=trust.authorities or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as for the API server: Python 3.13 asks for key identifiers
    if not trust.authorities:  # said in the evidence; the API server and the kubelet have named the pod
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    stream.settimeout(TIMEOUT_SECONDS)
    return context.wrap_socket(stream, server_hostname=host)


def ask(stream: socket.socket, method: str, path: str, body: bytes | None, token: str = "") -> Answer:
    """One request and its answer; the stream is closed afterwards. What echoes the token is not handed on."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with closing(_StreamConnection(stream)) as connection:
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        told = response.read()
        return Answer(response.status, told.replace(token.encode(), b"***") if token else told)
