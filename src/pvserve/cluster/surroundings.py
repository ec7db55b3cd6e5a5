"""Reads what this machine's environment says about CAs and proxies.

Owns the variables' names and what of them may be handed on. Must not decide who gets it.
Source: requests, httpx and boto3 each read one of these variables, so that users set any one of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pvserve.facts.surroundings import Surroundings

CA_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
SCHEMES = ("https", "http")
LIMIT = 64 << 10  # bytes of certificates: they go into a pod's arguments, of which Linux takes 128 KiB each
_FILE_LIMIT = 8 << 20
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


def surroundings(environment: Mapping[str, str] = os.environ) -> Surroundings:
    """What may be handed on of it. No password, and no certificate of a public CA, which every image has."""
    found: dict[str, None] = {}
    names, left_out = [], []
    public = set(_public())
    for variable in CA_VARIABLES:
        private = [body for body in _named(environment.get(variable, "")) if body not in public]
        if private:
            names.append(variable)
            found |= dict.fromkeys(private)
    text = "".join(f"-----BEGIN CERTIFICATE-----\n{_folded(body)}-----END CERTIFICATE-----\n" for body in found)
    if len(text) > LIMIT:
        left_out.append(
            f"the {len(found)} certificates that {' and '.join(names)} name here are too many to hand on: "
            "put those that are needed into a ConfigMap and name it with --ca"
        )
        text, names = "", []
    proxies, said = _proxies(environment)
    no_proxy = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    return Surroundings(text, tuple(names), proxies, no_proxy if proxies else "", (*left_out, *said))


def _proxies(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """By scheme, and what is not handed on."""
    proxies: dict[str, str] = {}
    said = []
    for scheme in SCHEMES:
        variable = f"{scheme.upper()}_PROXY"
        proxy = environment.get(variable) or environment.get(variable.lower()) or ""
        parts = urlsplit(proxy)
        if not proxy:
            continue
        if "KUBERNETES_SERVICE_HOST" not in environment:
            said.append(
                f"{variable} of this machine is not handed on, whose network need not be the cluster's: "
                "--proxy names a proxy for the Job"
            )
        elif parts.scheme != "http" or parts.username or parts.password:
            said.append(f"{variable} is not handed on: it has a password, or is no http:// address")
        else:
            proxies[scheme] = proxy
    return proxies, said


def _named(place: str) -> Iterator[str]:
    """The certificates, as base64 alone, of a file or of all files of a directory."""
    path = Path(place)
    if not place:
        return
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError:
        return
    for file in files:
        yield from _certificates(file)


def _certificates(file: Path) -> Iterator[str]:
    try:
        if not file.is_file() or file.stat().st_size > _FILE_LIMIT:
            return
        text = file.read_text("ascii", "replace")
    except OSError:
        return
    for match in _PEM.finditer(text):
        yield "".join(match[1].split())


def _public() -> Iterator[str]:
    """Those that Mozilla trusts, as the Kubernetes client's own dependency has them."""
    try:
        import certifi
    except ImportError:
        return
    yield from _certificates(Path(certifi.where()))


def _folded(body: str) -> str:
    return "".join(f"{body[start : start + 64]}\n" for start in range(0, len(body), 64))
