"""The bed's certificates are good for what they are made for, and made once."""

from __future__ import annotations

import base64
import ssl
import stat
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from bed import control_plane, pki
from bed.settings import Settings


def subject(file: Path) -> tuple[str, list[str]]:
    name = x509.load_pem_x509_certificate(file.read_bytes()).subject
    groups = [str(item.value) for item in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return str(name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value), groups


def test_certificates_name_kubernetes_users_and_groups(tmp_path: Path) -> None:
    pki.make(tmp_path, ("node1",))
    assert subject(tmp_path / "admin.crt") == ("bed-admin", ["system:masters"])
    assert subject(tmp_path / "node1.crt") == ("system:node:node1", ["system:nodes"])
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    for file in tmp_path.glob("*.crt"):
        x509.load_pem_x509_certificate(file.read_bytes()).verify_directly_issued_by(authority)


def test_they_are_made_once_and_keys_are_private(tmp_path: Path) -> None:
    pki.make(tmp_path, ("node1",))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    pki.make(tmp_path, ("node1",))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("*.key")} == {0o600}


def test_a_kubeconfig_holds_everything_and_is_private(tmp_path: Path) -> None:
    bed = Settings(tmp_path, tmp_path, tmp_path)
    pki.make(tmp_path / "pki", ("node1",))
    control_plane.write_kubeconfig(bed, bed.kubeconfig, "admin")
    assert stat.S_IMODE(bed.kubeconfig.stat().st_mode) == 0o600
    config = yaml.safe_load(bed.kubeconfig.read_text())
    pem = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    ssl.create_default_context(cadata=pem)
    assert str(tmp_path) not in bed.kubeconfig.read_text()
