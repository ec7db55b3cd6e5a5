"""Keys and certificates of the bed's cluster.

Owns making them once per bed. They never leave the bed's home directory.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bed.settings import ADDRESS, API_SERVICE

YEARS = timedelta(days=3650)
# Kubernetes users: the first is the certificate's common name, the others are groups.
USERS = {
    "admin": ("bed-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager",),
    "kube-scheduler": ("system:kube-scheduler",),
    "kube-proxy": ("system:kube-proxy",),
    "apiserver-kubelet-client": ("bed-apiserver", "system:masters"),
}


@dataclass(frozen=True)
class Authority:
    """A certificate authority that signs for the bed."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def make(directory: Path, nodes: tuple[str, ...]) -> None:
    """Makes what is missing: the authority, the API server's certificate, one per user and node, the account key."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = _authority(directory)
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
    _issue(directory, "kube-apiserver", ca, ("kube-apiserver",), dns=names, ips=["127.0.0.1", ADDRESS, API_SERVICE])
    users = dict(USERS) | {node: (f"system:node:{node}", "system:nodes") for node in nodes}
    for file, subject in users.items():
        _issue(directory, file, ca, subject)
    account = directory / "service-account.key"
    if not account.exists():
        _write_key(account, rsa.generate_private_key(65537, 2048))


def serving(directory: Path, name: str, ips: list[str], dns: list[str]) -> tuple[Path, Path]:
    """A serving certificate and its key for a component of the bed, made once."""
    _issue(directory, name, _authority(directory), (name,), dns=dns, ips=ips)
    return directory / f"{name}.crt", directory / f"{name}.key"


def _authority(directory: Path) -> Authority:
    key_file, certificate_file = directory / "ca.key", directory / "ca.crt"
    if certificate_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Authority(key, x509.load_pem_x509_certificate(certificate_file.read_bytes()))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bed-ca")])
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_file, key)
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate)


def _issue(
    directory: Path,
    file: str,
    ca: Authority,
    subject: tuple[str, ...],
    *,
    dns: list[str] | None = None,
    ips: list[str] | None = None,
) -> None:
    if (directory / f"{file}.crt").exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, subject[0])]
        + [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject[1:]]
    )
    builder = _builder(name, ca.certificate.subject, key.public_key()).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName(item) for item in dns or ()]
    alternatives += [x509.IPAddress(ipaddress.ip_address(item)) for item in ips or ()]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(ca.key, hashes.SHA256())
    _write_key(directory / f"{file}.key", key)
    (directory / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + YEARS)
    )


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.touch(mode=0o600)
    file.write_bytes(pem)
