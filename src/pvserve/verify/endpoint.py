"""Whether the service answers an inference request.

Owns the requests that are tried and how answers are read. Must not know plans, nor print.
Protocols: OpenAI REST (vLLM, llama.cpp) and the Open Inference Protocol v2 (MLServer, Triton); any other is asked with
a request that the user gives.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pvserve.cluster import Cluster
from pvserve.errors import PvserveError
from pvserve.facts import Object, Unknown, annotations_of, name
from pvserve.verify.proof import Check
from pvserve.verify.token import token_for
from pvserve.verify.ways import Answer, Send, guarded_way, open_ways

TITLE = "an inference request is answered"
ENABLE_AUTH = "security.opendatahub.io/enable-auth"
REFUSED = (401, 403)
GONE = (502, 503, 504)
SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class Request:
    """What the user says of the inference request: its path, such as /v2/models/iris/infer, and its body (JSON), both
    empty where the protocol decides; and a token for an endpoint that asks for one."""

    path: str = ""
    body: bytes = b""
    token: str = field(default="", repr=False)


class _WantsTokenError(Exception):
    """The endpoint refused a request without a token, or this token."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.status = answer.status


def check_answer(
    cluster: Cluster, service: Object, endpoint: Object | None, pods: Sequence[Object], request: Request | None
) -> Check:
    """Asks the model server, through the API server's service proxy or else a port-forward to a pod.

    `endpoint` is the Kubernetes Service before the pods, where there is one. An endpoint that wants a token gets the
    user's, or one of the service's own account.
    """
    request = request or Request()
    if annotations_of(service).get(ENABLE_AUTH) == "true" and pods:
        return _ask_guarded(cluster, service, endpoint, pods, request)
    failures: list[str] = []
    for way, send in open_ways(cluster, endpoint, pods):
        try:
            return _ask(send, way, name(service), request)
        except _WantsTokenError:
            return _ask_guarded(cluster, service, endpoint, pods, request)
        except PvserveError as error:
            failures.append(f"{way}: {error.message}")
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{way}: {type(error).__name__} {error}".rstrip())
    evidence = "; ".join(failures) or "no Service and no ready pod to ask"
    return Check("answers", TITLE, "failed" if pods else "unknown", evidence, (f"pvserve doctor {name(service)}",))


def _ask_guarded(
    cluster: Cluster, service: Object, endpoint: Object | None, pods: Sequence[Object], request: Request
) -> Check:
    """First without a token, which must be refused; then with one."""
    if not pods:
        return Check("answers", TITLE, "unknown", "the endpoint wants a token, and there is no pod to send one to")
    way, sending = guarded_way(cluster, endpoint, pods[0])
    try:
        try:
            plain = _ask(sending(""), way, name(service), request)
            words = f"{plain.evidence} (also without a token, though {ENABLE_AUTH} is true)"
            return Check(plain.name, plain.title, plain.result, words, plain.remedy)
        except _WantsTokenError as refused:
            without = f"without a token: HTTP {refused.status}"
        token = token_for(cluster, name(service), request.token)
        if isinstance(token, Unknown):
            return Check("answers", TITLE, "unknown", f"{way}: {without}; {token.why}", _with_token(service))
        try:
            done = _ask(sending(token.secret), way, name(service), request)
        except _WantsTokenError as refused:
            words = f"{way}: {without}; with {token.words}: HTTP {refused.status}"
            return Check("answers", TITLE, "unknown", words, _with_token(service))
    except (PvserveError, OSError, http.client.HTTPException) as error:
        words = error.message if isinstance(error, PvserveError) else f"{type(error).__name__} {error}".rstrip()
        return Check("answers", TITLE, "failed", f"{way}: {words}", (f"pvserve doctor {name(service)}",))
    return Check("answers", TITLE, done.result, f"{without}; with {token.words}: {done.evidence}", done.remedy)


def _with_token(service: Object) -> tuple[str, ...]:
    return (
        f"pvserve verify {name(service)} --token-file FILE, with a token of an account that may `get` the "
        "InferenceService",
        f"for example: kubectl create token ACCOUNT | pvserve verify {name(service)} --token-file -",
    )


def _ask(send: Send, way: str, service: str, request: Request) -> Check:
    asked = request if request.path else _openai_request(send) or _v2_request(send, service)
    if asked is None:
        remedy = (f"pvserve verify {service} --request-path /PATH --request '{{...}}'",)
        return Check("answers", TITLE, "unknown", f"{way}: no protocol that pvserve speaks was recognised", remedy)
    start = time.monotonic()
    answer = _checked(send("POST", asked.path, asked.body))
    seconds = time.monotonic() - start
    words = f"POST {asked.path} by {way}: HTTP {answer.status} in {seconds:.2f} s: {_shown(answer)}"
    return Check("answers", TITLE, "passed" if _answered(answer) else "failed", words)


def _checked(answer: Answer) -> Answer:
    if answer.status in REFUSED:
        raise _WantsTokenError(answer)
    return answer


def _answered(answer: Answer) -> bool:
    """A 2xx with a JSON object that is no error: an error page of a proxy with status 200 is no inference."""
    body = answer.json()
    return 200 <= answer.status < 300 and isinstance(body, dict) and bool(body) and "error" not in body


def _openai_request(send: Send) -> Request | None:
    listed = _checked(send("GET", "/v1/models", None))
    body = listed.json()
    if listed.status in GONE:
        raise PvserveError("NoEndpoint", f"HTTP {listed.status}: {_shown(listed)}")
    if listed.status != 200 or not isinstance(body, dict) or not isinstance(body.get("data"), list) or not body["data"]:
        return None
    wanted = {"model": body["data"][0].get("id", ""), "prompt": "Hello", "max_tokens": 8, "temperature": 0}
    return Request("/v1/completions", json.dumps(wanted).encode())


def _v2_request(send: Send, service: str) -> Request | None:
    """A request of zeros in the shape that the model's own metadata names."""
    described = _checked(send("GET", f"/v2/models/{service}", None))
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
