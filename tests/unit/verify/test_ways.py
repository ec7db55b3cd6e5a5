"""How a guarded endpoint is reached: its port, its certificate, and a token that goes nowhere else."""

from __future__ import annotations

import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pvserve.errors import UsageError
from pvserve.verify.endpoint import Request
from pvserve.verify.token import Token, checked_token
from pvserve.verify.ways import Port, Trust, ask, guarded_port, over_tls

HOST = "granite-predictor.llm.svc"
SECRET = "eyJhbGciOi.canary.signature"


def pod(*ports: dict[str, Any]) -> dict[str, Any]:
    names = ("kserve-container", "kube-rbac-proxy")
    return {"spec": {"containers": [{"name": n, "ports": [p]} for n, p in zip(names, ports, strict=False)]}}


def service(*ports: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "granite-predictor", "namespace": "llm"}, "spec": {"ports": list(ports)}}


BOTH = ({"containerPort": 8080}, {"containerPort": 8443, "name": "https"})


def test_the_sidecar_of_open_data_hub_is_asked_and_not_the_server_behind_it() -> None:
    shown = service({"name": "https", "port": 8443, "targetPort": "https"})
    assert guarded_port(shown, pod(*BOTH)) == Port(8443, secure=True, host=HOST)


def test_of_several_ports_the_one_with_tls() -> None:
    shown = service({"port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443})
    assert guarded_port(shown, pod(*BOTH)).number == 8443


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (service({"port": 80, "targetPort": 9000}), Port(9000, host=HOST)),
        (service({"name": "https", "port": 8000, "targetPort": 8000}), Port(8000, secure=True, host=HOST)),
        (service({"port": 8080}), Port(8080, host=HOST)),
        (service(), Port(8080)),
        (None, Port(8080)),
    ],
)
def test_the_port_that_the_service_shows(shown: dict[str, Any] | None, expected: Port) -> None:
    assert guarded_port(shown, pod(*BOTH)) == expected


class Guard(http.server.BaseHTTPRequestHandler):
    """Refuses all but one token, and says what it was sent."""

    def do_GET(self) -> None:
        sent = self.headers.get("Authorization", "")
        self.send_response(200 if sent == f"Bearer {SECRET}" else 401)
        self.end_headers()
        self.wfile.write(f"you sent {sent!r}".encode())

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def guard() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def connected(server: http.server.ThreadingHTTPServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=10)


def test_a_token_opens_what_is_closed_without_and_is_not_handed_on(guard: http.server.ThreadingHTTPServer) -> None:
    assert ask(connected(guard), "GET", "/", None).status == 401
    answer = ask(connected(guard), "GET", "/", None, SECRET)
    assert answer.status == 200
    assert SECRET.encode() not in answer.body
    assert b"Bearer ***" in answer.body


def test_a_certificate_is_checked_where_its_authority_is_known(
    guard: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    ours = certificate(tmp_path / "ours", HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours)
    guard.socket = context.wrap_socket(guard.socket, server_side=True)
    known = Trust(ours.read_text())
    assert ask(over_tls(connected(guard), HOST, known), "GET", "/", None, SECRET).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        over_tls(connected(guard), "other.llm.svc", known)
    with pytest.raises(ssl.SSLCertVerificationError):
        over_tls(connected(guard), HOST, Trust(certificate(tmp_path / "other", HOST).read_text()))
    assert ask(over_tls(connected(guard), HOST, Trust()), "GET", "/", None, SECRET).status == 200
    assert "not checked" in Trust().words
    assert not known.words


def certificate(file: Path, host: str) -> Path:
    """A certificate that signs itself, and its key, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, plain)
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.mark.parametrize("text", ["", " \n", "two words", "a\nb", "käse", "a\x00b"])
def test_what_is_no_token_is_refused_without_being_said(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked_token(text)
    assert refused.value.reason == "NotAToken"
    assert not text.strip() or text.strip() not in str(refused.value)


def test_a_token_is_in_no_representation() -> None:
    assert checked_token(f"{SECRET}\n") == SECRET
    assert SECRET not in repr((Token(SECRET, "the token given"), Request(token=SECRET)))
