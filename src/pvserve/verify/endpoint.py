"""Whether the service answers an inference request.

Owns the requests that are tried and how answers are read. Must not know plans, nor print.
Protocols: OpenAI REST (vLLM, llama.cpp) and the Open Inference Protocol v2 (MLServer, Triton); any other is asked with
a request that the user gives.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pvserve.cluster import Cluster
from pvserve.errors import NotAllowed, PvserveError
from pvserve.facts import Object, name, namespace
from pvserve.verify.proof import Check

TITLE = "an inference request is answered"
TIMEOUT_SECONDS = 120.0
SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class Request:
    """An inference request of the user's: path such as /v2/models/iris/infer, body in bytes (JSON)."""

    path: str
    body: bytes


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


Send = Callable[[str, str, bytes | None], Answer]


def check_answer(
    cluster: Cluster, service: Object, endpoint: Object | None, pods: Sequence[Object], request: Request | None
) -> Check:
    """Asks the model server, through the API server's service proxy or else a port-forward to a pod.

    `endpoint` is the predictor's Kubernetes Service, where there is one.
    """
    failures: list[str] = []
    for way, send in _ways(cluster, endpoint, pods):
        try:
            return _ask(send, way, name(service), request)
        except PvserveError as error:
            failures.append(f"{way}: {error.message}")
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{way}: {type(error).__name__} {error}".rstrip())
    evidence = "; ".join(failures) or "no Service and no ready pod to ask"
    return Check("answers", TITLE, "failed" if pods else "unknown", evidence, (f"pvserve doctor {name(service)}",))


def _ways(cluster: Cluster, endpoint: Object | None, pods: Sequence[Object]) -> list[tuple[str, Send]]:
    ways: list[tuple[str, Send]] = []
    if endpoint is not None and endpoint["spec"].get("ports"):
        ways.append((f"services/proxy {name(endpoint)}", _through_proxy(cluster, endpoint)))
    for pod in pods[:1]:
        port = _serving_port(pod)
        if port:
            ways.append((f"port-forward to pod {name(pod)}:{port}", _through_forward(cluster, pod, port)))
    return ways


def _serving_port(pod: Object) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            return int(port["containerPort"])
    return 8080  # KServe's own default where a runtime names no port


def _through_proxy(cluster: Cluster, endpoint: Object) -> Send:
    port = endpoint["spec"]["ports"][0]["port"]
    base = f"/api/v1/namespaces/{namespace(endpoint)}/services/http:{name(endpoint)}:{port}/proxy"

    def send(method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        response = cluster.raw(method, base + path, body=body, headers=headers, timeout=TIMEOUT_SECONDS)
        status = response.json()  # {} where the body is none
        if response.status == 403 and status.get("kind") == "Status":  # of the API server: the next way may be open
            raise NotAllowed("Forbidden", str(status.get("message")))
        return Answer(response.status, response.body)

    return send


class _TunnelConnection(http.client.HTTPConnection):
    """HTTP over a stream that is already open."""

    def __init__(self, tunnel: socket.socket) -> None:
        super().__init__("127.0.0.1", timeout=TIMEOUT_SECONDS)
        self.sock = tunnel


def _through_forward(cluster: Cluster, pod: Object, port: int) -> Send:
    def send(method: str, path: str, body: bytes | None) -> Answer:
        with cluster.forward(name(pod), namespace(pod), port) as tunnel:
            connection = _TunnelConnection(tunnel)
            connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.read())

    return send


def _ask(send: Send, way: str, service: str, request: Request | None) -> Check:
    asked = request or _openai_request(send) or _v2_request(send, service)
    if asked is None:
        remedy = (f"pvserve verify {service} --request-path /PATH --request '{{...}}'",)
        return Check("answers", TITLE, "unknown", f"{way}: no protocol that pvserve speaks was recognised", remedy)
    start = time.monotonic()
    answer = send("POST", asked.path, asked.body)
    seconds = time.monotonic() - start
    words = f"POST {asked.path} by {way}: HTTP {answer.status} in {seconds:.2f} s: {_shown(answer)}"
    if answer.status in (401, 403):
        return Check("answers", TITLE, "unknown", words + " (the endpoint wants a token)")
    return Check("answers", TITLE, "passed" if _answered(answer) else "failed", words)


def _answered(answer: Answer) -> bool:
    """A 2xx with a JSON object that is no error: an error page of a proxy with status 200 is no inference."""
    body = answer.json()
    return 200 <= answer.status < 300 and isinstance(body, dict) and bool(body) and "error" not in body


def _openai_request(send: Send) -> Request | None:
    listed = send("GET", "/v1/models", None)
    body = listed.json()
    if listed.status in (502, 503, 504):
        raise PvserveError("NoEndpoint", f"HTTP {listed.status}: {_shown(listed)}")
    if listed.status != 200 or not isinstance(body, dict) or not isinstance(body.get("data"), list) or not body["data"]:
        return None
    wanted = {"model": body["data"][0].get("id", ""), "prompt": "Hello", "max_tokens": 8, "temperature": 0}
    return Request("/v1/completions", json.dumps(wanted).encode())


def _v2_request(send: Send, service: str) -> Request | None:
    """A request of zeros in the shape that the model's own metadata names."""
    described = send("GET", f"/v2/models/{service}", None)
    body = described.json()
    if described.status != 200 or not isinstance(body, dict) or not body.get("inputs"):
        return None
    inputs = []
    for item in body["inputs"]:
        shape = [size if size > 0 else 1 for size in item["shape"]]
        count = 1
        for size in shape:
            count *= size
        filler: Any = "" if item["datatype"] == "BYTES" else 0
        inputs.append({"name": item["name"], "shape": shape, "datatype": item["datatype"], "data": [filler] * count})
    return Request(f"/v2/models/{service}/infer", json.dumps({"inputs": inputs}).encode())


def _shown(answer: Answer) -> str:
    """The start of an answer, without control characters: a server is not trusted with the terminal."""
    body = answer.json()
    if isinstance(body, dict) and isinstance(body.get("choices"), list) and body["choices"]:
        text = str(body["choices"][0].get("text", body["choices"][0]))
    else:
        text = answer.body.decode(errors="replace")
    clean = "".join(character if character.isprintable() else " " for character in text)
    return repr(clean[:SHOWN_CHARACTERS])
