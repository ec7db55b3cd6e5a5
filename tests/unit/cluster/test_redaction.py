"""No error holds a token or a password, whatever is wrong with the login."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.errors import NotAllowed, PvserveError, UsageError

from .server import Answer, Server, status

CANARY = "c4nary-t0ken"
NOBODY = "http://127.0.0.1:9"
PROXY = f"//me:{CANARY}@127.0.0.1:9"


def broken(directory: Path, *, server: str = NOBODY, user: str = f"{{token: {CANARY}}}", cluster: str = "") -> Path:
    path = directory / "kubeconfig"
    path.write_text(
        f"""
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u, namespace: llm}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"{cluster}}}}}]
users: [{{name: u, user: {user}}}]
"""
    )
    return path


def use(path: Path) -> None:
    cluster = Cluster.connect(kubeconfig=str(path))
    cluster.version()


def said(error: PvserveError) -> str:
    """All that may reach a terminal, a log or a report; a traceback never does, and holds no secret either."""
    return json.dumps(error.as_dict()) + "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"server": "api.example:6443"}, "ServerInvalid"),
        ({"server": "https://api.example:99999"}, "ServerInvalid"),
        ({"server": "ftp://api.example"}, "ServerInvalid"),
        ({"server": f"http://me:{CANARY}@127.0.0.1:9"}, "ServerInvalid"),
        ({"user": f'{{token: "{CANARY}\\nX-Evil: y"}}'}, "CredentialsInvalid"),
        ({"user": f'{{token: "{CANARY}€"}}'}, "CredentialsInvalid"),
        ({"user": f"{{token: {CANARY}"}, "KubeconfigInvalid"),
        ({"user": f"[{CANARY}]"}, "KubeconfigInvalid"),
        ({"user": f'{{client-certificate-data: "{CANARY}", client-key-data: "{CANARY}"}}'}, None),
        ({"user": f"{{username: me, password: {CANARY}}}"}, "Unreachable"),
        ({"cluster": f", proxy-url: 'ftp:{PROXY}'"}, "ServerInvalid"),
        ({"cluster": f", proxy-url: 'http:{PROXY}'"}, "ProxyFailed"),
        ({"cluster": f", proxy-url: 'http:{PROXY}'", "server": "https://127.0.0.1:9"}, "ProxyFailed"),
        ({"cluster": f", proxy-url: 'socks5:{PROXY}'"}, "Unreachable"),
    ],
)
def test_a_broken_login_is_told_without_its_secrets(tmp_path: Path, how: dict[str, str], reason: str | None) -> None:
    with pytest.raises(PvserveError) as caught:
        use(broken(tmp_path, **how))
    assert reason in (None, caught.value.reason)
    assert CANARY not in said(caught.value)


def test_a_stream_through_a_broken_proxy_keeps_its_password(tmp_path: Path) -> None:
    cluster = Cluster.connect(kubeconfig=str(broken(tmp_path, cluster=f", proxy-url: 'https:{PROXY}'")))
    with pytest.raises(UsageError) as caught:
        cluster.exec("pod", "llm", "main", ["true"])
    assert caught.value.reason == "ProxyNotSupported"
    assert CANARY not in said(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        status(401, "Unauthorized", "Unauthorized"),
        status(403, 'User "jane" cannot get path "/version"', "Forbidden"),
        status(500, "etcd is away"),
        Answer(302, headers={"Location": "https://sso.example/login"}),
    ],
)
def test_a_refusal_does_not_quote_what_was_sent(serve: Callable[..., Server], tmp_path: Path, answer: Answer) -> None:
    server = serve(lambda _: answer)
    with pytest.raises(PvserveError) as caught:
        use(broken(tmp_path, server=server.url))
    assert server.asked[0].headers["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in said(caught.value)


@pytest.mark.parametrize(
    "output",
    [CANARY, f'{{"token": "{CANARY}"}}', f'{{"kind": "x", "apiVersion": "y", "status": {{"token": "{CANARY}"}}}}'],
)
def test_a_login_command_that_prints_something_else_is_not_quoted(tmp_path: Path, output: str) -> None:
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho '{output}'\n")
    plugin.chmod(0o755)
    user: dict[str, Any] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
    with pytest.raises(NotAllowed) as caught:
        use(broken(tmp_path, user=json.dumps(user)))
    assert CANARY not in said(caught.value)


def test_a_login_does_not_show_its_headers() -> None:
    from pvserve.cluster.login import Login

    assert CANARY not in repr(Login("https://api", "llm", {"Authorization": f"Bearer {CANARY}"}, None))


def test_no_token_is_logged_at_any_level(
    serve: Callable[..., Server], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A notebook may well log all that libraries have to say."""
    server = serve(lambda _: status(403, "no", "Forbidden"))
    with caplog.at_level(logging.DEBUG):
        cluster = Cluster.connect(kubeconfig=str(broken(tmp_path, server=server.url)))
        for ask in (cluster.version, lambda: cluster.exec("pod", "llm", "main", ["true"])):
            with pytest.raises(PvserveError):
                ask()
    assert [asked.headers["authorization"] for asked in server.asked] == [f"Bearer {CANARY}"] * 2
    assert CANARY not in caplog.text
