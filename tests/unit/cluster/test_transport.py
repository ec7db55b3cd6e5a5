"""When a request is sent again, after which pause, and when a login is renewed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pvserve.cluster import Cluster, Response
from pvserve.cluster.request import Request
from pvserve.cluster.transport import LONGEST_PAUSE, Transport, backoff, pause_before
from pvserve.errors import NotAllowed, PvserveError, Temporary

from .authority import Authority
from .conftest import kubeconfig
from .server import CUT, Answer, Asked, Server, in_turn, status

GET = Request("GET", "/version", subject="the server's version")
POST = Request("POST", "/api/v1/namespaces/llm/pods", body=b"{}", subject="Pod llm/loader-", repeatable=False)
APPLY = Request("PATCH", "/api/v1/namespaces/llm/pods/p", body=b"{}", subject="Pod llm/p")
OK = Answer(body={"gitVersion": "v1.34.4"})
BUSY = status(503, "apiserver is shutting down")

Serve = Callable[..., Server]


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that transports make, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr(Transport.__init__, "__kwdefaults__", {"sleep": pauses.append})
    return pauses


@pytest.mark.parametrize(
    ("request_", "code", "retry_after", "pause"),
    [
        (GET, 429, "7", 7),
        (POST, 429, "7", 7),  # a 429 was never carried out
        (GET, 503, "2", 2),
        (POST, 503, "2", 2),  # with Retry-After, as client-go
        (POST, 503, "", None),  # may have been carried out
        (APPLY, 500, "3", 3),
        (POST, 500, "3", None),
        (GET, 500, "", None),
        (GET, 200, "9", None),
        (GET, 404, "", None),
    ],
)
def test_which_answers_are_worth_another_try(
    request_: Request, code: int, retry_after: str, pause: float | None
) -> None:
    headers = {"retry-after": retry_after} if retry_after else {}
    assert pause_before(request_, Response(code, headers), 0) == pause


@pytest.mark.parametrize(("request_", "again"), [(GET, True), (APPLY, True), (POST, False)])
def test_gateway_errors_are_tried_again_only_where_that_is_safe(request_: Request, again: bool) -> None:
    for code in (502, 503, 504):
        pause = pause_before(request_, Response(code), 0)
        assert (pause is not None) is again


def test_a_date_as_retry_after_falls_back_to_our_own_pause() -> None:
    pause = pause_before(GET, Response(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), 3)
    assert pause is not None
    assert 0 < pause <= LONGEST_PAUSE


def test_pauses_grow_and_stay_bounded() -> None:
    assert 0.1 <= backoff(0) <= 0.2
    assert all(LONGEST_PAUSE / 2 <= backoff(attempt) <= LONGEST_PAUSE for attempt in (5, 10, 100, 3000))


@pytest.mark.parametrize("trouble", [BUSY, CUT, status(429, "too many requests")])
def test_a_read_outlasts_a_short_trouble(
    serve: Serve, connect: Callable[..., Cluster], paused: list[float], trouble: Answer
) -> None:
    server = serve(in_turn(trouble, trouble, OK))
    assert connect(server).version() == "v1.34.4"
    assert len(server.asked) == 3
    assert len(paused) == 2


@pytest.mark.parametrize("trouble", [BUSY, CUT])
def test_a_create_that_may_have_been_carried_out_is_not_sent_again(
    serve: Serve, connect: Callable[..., Cluster], paused: list[float], trouble: Answer
) -> None:
    server = serve(in_turn(trouble, OK))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "loader-"}}
    with pytest.raises(Temporary) as caught:
        connect(server).create(pod)
    assert len(server.asked) == 1
    assert caught.value.exit_code == 5
    assert "run the same command again" in caught.value.remedy


def test_a_create_that_was_refused_as_too_many_is_sent_again(
    serve: Serve, connect: Callable[..., Cluster], paused: list[float]
) -> None:
    server = serve(in_turn(Answer(429, headers={"Retry-After": "2"}), OK))
    connect(server).create({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "loader-"}})
    assert len(server.asked) == 2
    assert paused == [2.0]


def test_a_server_that_asks_for_too_much_patience_is_busy(
    serve: Serve, connect: Callable[..., Cluster], paused: list[float]
) -> None:
    server = serve(lambda _: Answer(429, headers={"Retry-After": "3600"}))
    with pytest.raises(Temporary) as caught:
        connect(server).version()
    assert caught.value.reason == "Busy"
    assert paused == []


def test_raw_is_sent_once_and_answers_whatever_the_status(
    serve: Serve, connect: Callable[..., Cluster], paused: list[float]
) -> None:
    server = serve(lambda _: BUSY)
    assert connect(server).raw("GET", "/readyz").status == 503
    assert len(server.asked) == 1


def test_an_address_where_nobody_listens_is_told_within_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    cluster = Cluster.connect(kubeconfig=str(kubeconfig(tmp_path, f"http://127.0.0.1:{port}")))
    with pytest.raises(Temporary) as caught:
        cluster.version()
    assert caught.value.reason == "Unreachable"
    assert caught.value.message == f"http://127.0.0.1:{port} does not answer"
    assert "kubectl config view --minify" in caught.value.remedy[0]


def test_a_certificate_that_is_not_trusted_is_told_at_once(
    serve: Serve, authority: Authority, tmp_path: Path, paused: list[float]
) -> None:
    server = serve(lambda _: OK, authority.server_context("127.0.0.1"))
    cluster = Cluster.connect(kubeconfig=str(kubeconfig(tmp_path, server.url)))
    with pytest.raises(Temporary) as caught:
        cluster.version()
    assert caught.value.reason == "TlsFailed"
    assert "certificate-authority" in caught.value.remedy[0]
    assert paused == []


def test_an_answer_that_is_no_json_comes_from_no_api_server(serve: Serve, connect: Callable[..., Cluster]) -> None:
    server = serve(lambda _: Answer(200, b"<html>welcome</html>"))
    with pytest.raises(PvserveError) as caught:
        connect(server).version()
    assert caught.value.reason == "NotAnApiServer"


def test_one_renewal_serves_all_threads_that_were_refused(serve: Serve) -> None:
    from pvserve.cluster.login import Login

    logins: list[Login] = []

    def log_in() -> Login:
        logins.append(Login(server.url, "llm", {"Authorization": f"Bearer {len(logins)}"}, None))
        return logins[-1]

    def script(asked: Asked) -> Answer:
        return Answer(401) if asked.headers["authorization"] == "Bearer 0" else OK

    server = serve(script)
    transport = Transport(log_in, 5)
    first = transport.login
    assert transport.send(GET).status == 200
    assert transport.renewed(first) is transport.login  # a thread that was refused with the old login, later
    assert len(logins) == 2


def test_a_login_that_stays_refused_is_renewed_once_per_request(serve: Serve, connect: Callable[..., Cluster]) -> None:
    server = serve(lambda _: Answer(401))
    with pytest.raises(NotAllowed) as caught:
        connect(server).version()
    assert caught.value.exit_code == 4
    assert len(server.asked) == 2


def test_lists_are_read_page_by_page_and_anew_when_they_expire(serve: Serve, connect: Callable[..., Cluster]) -> None:
    def page(*names: str, after: str = "") -> Answer:
        items = [{"metadata": {"name": name}} for name in names]
        return Answer(body={"apiVersion": "v1", "kind": "PodList", "metadata": {"continue": after}, "items": items})

    server = serve(in_turn(page("a", after="x"), status(410, "expired", "Expired"), page("b", after="y"), page("c")))
    pods = connect(server).list("v1", "Pod", "llm", label_selector="app=x")
    assert [(pod["kind"], pod["metadata"]["name"]) for pod in pods] == [("Pod", "b"), ("Pod", "c")]
    assert [asked.query.get("continue") for asked in server.asked] == [None, "x", None, "y"]
    assert {asked.query["limit"] for asked in server.asked} == {"500"}
    assert {asked.query["labelSelector"] for asked in server.asked} == {"app=x"}
