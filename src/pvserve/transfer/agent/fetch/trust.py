"""Whom a connection trusts: the image's CAs, those mounted or handed on, and those that the usual variables name.

Owns the TLS context. Certificates are never left unchecked.
"""

from __future__ import annotations

import contextlib
import os
import ssl

# Where distributions keep their CAs, for a Python whose own OpenSSL looks elsewhere (conda, python-build).
SYSTEM_CA = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
CA_DIRECTORY = "SSL_CERT_DIR"


def trusting(places: list[str], given: str) -> ssl.SSLContext:
    """A context that trusts also the PEM files at or in `places`, and those that `given` is the text of."""
    context = ssl.create_default_context()
    files = [os.environ[name] for name in CA_FILES if os.environ.get(name)]
    if not context.get_ca_certs():
        files += [name for name in SYSTEM_CA if os.path.exists(name)][:1]
    for name in [*files, *_pem_files(places)]:
        with contextlib.suppress(OSError):  # ssl.SSLError too: an empty bundle is no bundle
            context.load_verify_locations(cafile=name)
    if given:
        with contextlib.suppress(ssl.SSLError):
            context.load_verify_locations(cadata=given)
    if os.environ.get(CA_DIRECTORY):
        context.load_verify_locations(capath=os.environ[CA_DIRECTORY])
    return context


def as_one_file(places: list[str], given: str) -> bytes:
    """The same certificates as text, for a program that takes one file."""
    named = [os.environ[name] for name in CA_FILES if os.environ.get(name)]
    system = [name for name in SYSTEM_CA if os.path.exists(name)][:1]
    texts = [given.encode()]
    for name in [*(named or system), *_pem_files(places)]:
        with contextlib.suppress(OSError), open(name, "rb") as file:
            texts.append(file.read())
    return b"\n".join(texts)


def _pem_files(places: list[str]) -> list[str]:
    found: list[str] = []
    for name in places:
        if os.path.isdir(name):
            inner = sorted(os.path.join(name, entry) for entry in os.listdir(name) if not entry.startswith("."))
            found += [path for path in inner if os.path.isfile(path)]
        elif os.path.isfile(name):
            found.append(name)
    return found
