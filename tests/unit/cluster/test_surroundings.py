"""What of this machine's CAs and proxies a Job in the cluster is given."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from pvserve.cluster.surroundings import CA_VARIABLES, LIMIT, surroundings

from .authority import Authority

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_a_private_ca_is_handed_on_and_public_ones_are_not(tmp_path: Path, variable: str) -> None:
    authority = Authority(tmp_path)
    bundle = tmp_path / "bundles" / "all.pem"
    bundle.parent.mkdir()
    bundle.write_text(f"# ours\n{authority.file.read_text()}\n{Path(certifi.where()).read_text()}")
    found = surroundings({variable: str(bundle.parent if variable.endswith("DIR") else bundle)})
    assert found.named_by == (variable,)
    assert ssl.PEM_cert_to_DER_cert(found.certificates) == ssl.PEM_cert_to_DER_cert(authority.file.read_text())
    assert found.certificates.count("BEGIN CERTIFICATE") == 1


def test_only_certificates_are_taken_of_a_file(tmp_path: Path) -> None:
    pair = Authority(tmp_path).sign("x", "x")
    both = tmp_path / "both.pem"
    both.write_text(pair.key.read_text() + pair.certificate.read_text())
    assert "PRIVATE" not in surroundings({"SSL_CERT_FILE": str(both)}).certificates


def test_too_many_certificates_are_said_to_be_left_out(tmp_path: Path) -> None:
    body = "A" * 64 + "\n"
    one = "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n"
    text = "".join(one.format(f"{number:064}\n" + body * 100) for number in range(LIMIT // 6400 + 1))
    (tmp_path / "many.pem").write_text(text)
    found = surroundings({"AWS_CA_BUNDLE": str(tmp_path / "many.pem")})
    assert found.certificates == ""
    assert "--ca" in found.left_out[0]


@pytest.mark.parametrize("environment", [{}, {"SSL_CERT_FILE": "/nowhere"}, {"SSL_CERT_FILE": certifi.where()}])
def test_nothing_of_its_own_is_nothing(environment: dict[str, str]) -> None:
    found = surroundings(environment)
    assert (found.certificates, found.named_by, found.left_out) == ("", (), ())


def test_the_proxy_of_a_workbench_is_that_of_its_jobs() -> None:
    found = surroundings({**IN_A_POD, "HTTPS_PROXY": "http://p:3128", "http_proxy": "http://q:1", "NO_PROXY": ".svc"})
    assert (dict(found.proxies), found.no_proxy) == ({"https": "http://p:3128", "http": "http://q:1"}, ".svc")


def test_the_proxy_of_another_network_is_not(tmp_path: Path) -> None:
    found = surroundings({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "*"})
    assert (dict(found.proxies), found.no_proxy) == ({}, "")
    assert "--proxy" in found.left_out[0]


def test_a_password_is_never_handed_on() -> None:
    found = surroundings({**IN_A_POD, "HTTPS_PROXY": "http://user:word@p:3128"})
    assert dict(found.proxies) == {}
    assert "word" not in found.left_out[0].replace("password", "")
