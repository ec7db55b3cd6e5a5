"""The key, certificate and token of one transfer, and a stream pinned to them.

Owns TLS on the client's side. Nothing made here is written anywhere: it goes to the agent over exec stdin only.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
import socket
import ssl
from dataclasses import dataclass, field

from pvserve.transfer.agent.frames import HELLO, VERSION, Broken, Wire
from pvserve.transfer.held import Held
from pvserve.transfer.inner import Inner
from pvserve.transfer.values import Stream

HANDSHAKE_SECONDS = 10.0


@dataclass(frozen=True)
class Secret:
    """What only this transfer's two ends know; never shown by repr."""

    certificate: str
    key: str = field(repr=False)
    token: str = field(repr=False)
    fingerprint: bytes


def new_secret() -> Secret:
    """A P-256 key, a certificate for it that is trusted by fingerprint alone, and a token of 256 bits."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pvserve")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Secret(
        certificate=certificate.public_bytes(pem).decode("ascii"),
        key=private.decode("ascii"),
        token=secrets.token_hex(32),
        fingerprint=hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest(),
    )


def secure(plain: socket.socket, secret: Secret, role: str) -> tuple[Wire, Stream]:
    """A frame stream over TLS to the agent that holds our key; closes `plain` when that fails.

    Data only goes, through Python's SSLSocket, which copies least. Where one thread reads while others write it takes
    a read that has to wait for the end of the stream, once in some hundred loads: OpenSSL allows one call at a time.
    """
    if role != "data":
        return secure_within(Held(plain), secret, role)
    try:
        plain.settimeout(HANDSHAKE_SECONDS)
        sock = _context().wrap_socket(plain)
    except OSError:
        plain.close()
        raise
    stream = Held(sock)
    return _greeted(stream, sock.getpeercert(binary_form=True), secret, role), stream


def secure_within(below: Stream, secret: Secret, role: str) -> tuple[Wire, Inner]:
    """The same over a connection that may be in TLS itself."""
    try:
        below.settimeout(HANDSHAKE_SECONDS)
        stream = Inner(below, _context())
    except OSError:
        below.close()
        raise
    return _greeted(stream, stream.certificate(), secret, role), stream


def _context() -> ssl.SSLContext:
    """Dates in the certificate are not looked at, so a clock that is wrong on either side breaks nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the fingerprint is the check
    return context


def _greeted(stream: Stream, certificate: bytes | None, secret: Secret, role: str) -> Wire:
    """Shows the token to who holds the key, and to nobody else; closes `stream` when that fails."""
    try:
        if not hmac.compare_digest(hashlib.sha256(certificate or b"").digest(), secret.fingerprint):
            raise Broken("somebody else than the agent answered")
        wire = Wire(stream.recv_into, stream.sendall, guard=False)
        wire.send_json(HELLO, {"version": VERSION, "token": secret.token, "role": role})
        wire.expect(HELLO)
    except BaseException:
        stream.close()
        raise
    return wire
