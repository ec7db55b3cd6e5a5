"""Every form of kubeconfig that was found in use, by connecting with it to a TLS server that notes who came."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.cluster import Cluster, login
from pvserve.errors import NotAllowed, UsageError

from .authority import Authority
from .proxies import Proxy, connect_proxy
from .server import Answer, Asked, Server

VERSION = Answer(body={"gitVersion": "v1.34.4"})


@pytest.fixture
def api(serve: Callable[..., Server], authority: Authority) -> Server:
    return serve(lambda _: VERSION, authority.server_context("127.0.0.1"))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    """A directory for kubeconfigs, which is not the working directory."""
    directory = tmp_path / "kube"
    directory.mkdir()
    return directory


def write(
    path: Path, server: str, user: dict[str, Any], ca: Path | str, *, context: str = "here", **cluster: Any
) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context, "namespace": "llm"}}],
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority": str(ca), **cluster}}],
        "users": [{"name": context, "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def plugin(path: Path, status: dict[str, Any], version: str) -> None:
    """A login command that prints an ExecCredential, and counts its runs in a file beside it."""
    answer = json.dumps({"kind": "ExecCredential", "apiVersion": version, "status": status})
    path.write_text(f"#!/bin/sh\necho run >> {path}.runs\ncat <<'EOF'\n{answer}\nEOF\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def came(server: Server, path: Path, **how: Any) -> Asked:
    """Who came to the server with this kubeconfig."""
    assert Cluster.connect(kubeconfig=str(path), **how).version() == "v1.34.4"
    return server.asked[-1]


V1, BETA = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


def test_form_1_plain_token(api: Server, files: Path, authority: Authority) -> None:
    path = write(files / "config", api.url, {"token": "abc"}, authority.file)
    assert came(api, path).headers["authorization"] == "Bearer abc"


def test_form_2_tls_server_name_and_relative_authority(
    serve: Callable[..., Server], files: Path, authority: Authority
) -> None:
    server = serve(lambda _: VERSION, authority.server_context("api.internal"))
    (files / "ca.crt").write_bytes(authority.file.read_bytes())
    path = write(files / "config", server.url, {"token": "abc"}, "ca.crt", **{"tls-server-name": "api.internal"})
    assert came(server, path).server_name == "api.internal"


@pytest.mark.parametrize("version", [V1, BETA])
def test_forms_3_and_4_login_commands(api: Server, files: Path, authority: Authority, version: str) -> None:
    plugin(files / "plugin", {"token": "minted"}, version)
    user = {"exec": {"apiVersion": version, "command": str(files / "plugin"), "interactiveMode": "Never"}}
    path = write(files / "config", api.url, user, authority.file)
    assert came(api, path).headers["authorization"] == "Bearer minted"


def test_form_5_login_command_that_gives_a_certificate(api: Server, files: Path, authority: Authority) -> None:
    pair = authority.sign("from-plugin")
    status = {"clientCertificateData": pair.certificate.read_text(), "clientKeyData": pair.key.read_text()}
    plugin(files / "plugin", status, V1)
    user = {"exec": {"apiVersion": V1, "command": str(files / "plugin")}}
    path = write(files / "config", api.url, user, authority.file)
    assert came(api, path).client == "from-plugin"


def test_form_6_relative_login_command(api: Server, files: Path, authority: Authority) -> None:
    plugin(files / "plugin", {"token": "minted"}, V1)
    path = write(files / "config", api.url, {"exec": {"apiVersion": V1, "command": "./plugin"}}, authority.file)
    assert came(api, path).headers["authorization"] == "Bearer minted"


def test_form_7_token_file(api: Server, files: Path, authority: Authority) -> None:
    (files / "token").write_text("from-file")
    path = write(files / "config", api.url, {"tokenFile": "token"}, authority.file)
    assert came(api, path).headers["authorization"] == "Bearer from-file"


def test_form_8_relative_client_certificate(api: Server, files: Path, authority: Authority) -> None:
    pair = authority.sign("jane")
    (files / "jane.crt").write_bytes(pair.certificate.read_bytes())
    (files / "jane.key").write_bytes(pair.key.read_bytes())
    user = {"client-certificate": "jane.crt", "client-key": "jane.key"}
    path = write(files / "config", api.url, user, authority.file)
    asked = came(api, path)
    assert asked.client == "jane"
    assert "authorization" not in asked.headers


def test_form_9_proxy_url(api: Server, files: Path, authority: Authority) -> None:
    proxy: Proxy = connect_proxy(api.port)
    try:
        server = f"https://127.0.0.1:{api.port}"
        address = {"proxy-url": f"http://me:pass%20word@127.0.0.1:{proxy.port}"}
        path = write(files / "config", server, {"token": "abc"}, authority.file, **address)
        came(api, path)
        assert proxy.wishes[0].startswith(f"CONNECT 127.0.0.1:{api.port} HTTP/1.")  # 1.0 before Python 3.12
        assert proxy.authorization == "Basic bWU6cGFzcyB3b3Jk"
    finally:
        proxy.close()


def test_form_10_several_files(api: Server, files: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(files / "a", api.url, {"token": "a"}, authority.file, context="one")
    second = write(files / "b", api.url, {"token": "b"}, authority.file, context="two")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, files / "absent", second))))
    Cluster.connect(context="one").version()
    Cluster.connect(context="two").version()
    assert [asked.headers["authorization"] for asked in api.asked] == ["Bearer a", "Bearer b"]


def test_client_certificates_in_the_file_leave_no_key_behind(
    api: Server, files: Path, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import base64

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    pair = authority.sign("inline")
    user = {
        "client-certificate-data": base64.b64encode(pair.certificate.read_bytes()).decode(),
        "client-key-data": base64.b64encode(pair.key.read_bytes()).decode(),
    }
    path = write(files / "config", api.url, user, authority.file)
    for _ in range(2):  # the kubernetes package remembers the files of the first time
        assert came(api, path).client == "inline"
    assert list(scratch.rglob("*")) == []


def test_the_namespace_is_that_of_the_context_unless_said_otherwise(
    api: Server, files: Path, authority: Authority
) -> None:
    path = str(write(files / "config", api.url, {"token": "abc"}, authority.file))
    assert Cluster.connect(kubeconfig=path).namespace == "llm"
    assert Cluster.connect(kubeconfig=path, namespace="other").namespace == "other"


def test_impersonation_by_flag_and_by_kubeconfig(api: Server, files: Path, authority: Authority) -> None:
    path = write(files / "config", api.url, {"token": "abc", "as": "viewer"}, authority.file)
    assert came(api, path).headers["impersonate-user"] == "viewer"
    assert came(api, path, as_user="jane").headers["impersonate-user"] == "jane"


def test_impersonated_groups_are_refused_rather_than_dropped(api: Server, files: Path, authority: Authority) -> None:
    user = {"token": "abc", "as": "viewer", "as-groups": ["auditors"]}
    path = write(files / "config", api.url, user, authority.file)
    with pytest.raises(UsageError, match="impersonates groups"):
        Cluster.connect(kubeconfig=str(path))
    assert api.asked == []


def test_a_login_command_that_fails_says_why_instead_of_going_on_as_nobody(
    api: Server, files: Path, authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    (files / "plugin").write_text("#!/bin/sh\necho 'your session has expired' >&2\nexit 1\n")
    (files / "plugin").chmod(0o755)
    user = {"exec": {"apiVersion": V1, "command": "./plugin"}}
    path = write(files / "config", api.url, user, authority.file)
    with pytest.raises(NotAllowed) as caught:
        Cluster.connect(kubeconfig=str(path))
    assert caught.value.reason == "NotLoggedIn"
    assert "your session has expired" in caught.value.detail
    assert api.asked == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be used"),
        ("[1, 2", "cannot be used"),
        ("clusters: []\ncontexts: []\nusers: []\ncurrent-context: gone\n", "has no context 'gone'"),
        ("clusters: []\ncontexts: []\nusers: []\n", "names no current context"),
        ("contexts: [{name: a, context: {cluster: x, user: y}}]\ncurrent-context: a\n", "cannot be used"),
    ],
)
def test_a_broken_kubeconfig_is_wrong_use(files: Path, content: str, words: str) -> None:
    path = files / "config"
    path.write_text(content)
    with pytest.raises(UsageError, match=words):
        Cluster.connect(kubeconfig=str(path))


def test_a_kubeconfig_that_does_not_exist_is_wrong_use(files: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        Cluster.connect(kubeconfig=str(files / "none"))


def test_an_unknown_context_lists_those_that_are_there(api: Server, files: Path, authority: Authority) -> None:
    path = write(files / "config", api.url, {"token": "abc"}, authority.file)
    with pytest.raises(UsageError, match="has no context 'prod'") as caught:
        Cluster.connect(kubeconfig=str(path), context="prod")
    assert caught.value.remedy[0] == "--context, one of: here"


def test_without_any_login_the_error_says_how_to_get_one() -> None:
    with pytest.raises(NotAllowed, match="no kubeconfig") as caught:
        Cluster.connect()
    assert caught.value.reason == "NotLoggedIn"


def test_in_a_pod_the_account_is_used_and_its_token_read_again_after_a_401(
    serve: Callable[..., Server], authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(authority.file.read_bytes())
    (account / "namespace").write_text("workbench\n")
    (account / "token").write_text("old")

    def script(asked: Asked) -> Answer:
        return VERSION if asked.headers["authorization"].lower() == "bearer new" else Answer(401)

    server = serve(script, authority.server_context("127.0.0.1"))
    monkeypatch.setattr(login, "SERVICE_ACCOUNT", account)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    cluster = Cluster.connect()
    assert cluster.namespace == "workbench"
    (account / "token").write_text("new")
    assert cluster.version() == "v1.34.4"


def test_an_expired_token_runs_the_login_command_again_once(
    serve: Callable[..., Server], files: Path, authority: Authority
) -> None:
    server = serve(lambda _: Answer(401), authority.server_context("127.0.0.1"))
    plugin(files / "plugin", {"token": "stale"}, V1)
    user = {"exec": {"apiVersion": V1, "command": "./plugin"}}
    cluster = Cluster.connect(kubeconfig=str(write(files / "config", server.url, user, authority.file)))
    with pytest.raises(NotAllowed) as caught:
        cluster.version()
    assert caught.value.reason == "NotLoggedIn"
    assert len(server.asked) == 2
    assert (files / "plugin.runs").read_text().split() == ["run", "run"]


def test_a_ready_client_of_somebody_else(api: Server, authority: Authority) -> None:
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration()
    configuration.host = api.url
    configuration.ssl_ca_cert = str(authority.file)
    configuration.api_key["authorization"] = "Bearer theirs"
    client = ApiClient(configuration)
    client.set_default_header("X-Tenant", "a")
    cluster = Cluster.connect(api_client=client, namespace="llm")
    assert cluster.version() == "v1.34.4"
    assert api.asked[-1].headers["authorization"] == "Bearer theirs"
    assert api.asked[-1].headers["x-tenant"] == "a"
