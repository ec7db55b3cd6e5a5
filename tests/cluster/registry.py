"""A registry beside the cluster, filled with images and artifacts.

Needs PVSERVE_TEST_REGISTRY as pods reach it, PVSERVE_TEST_REGISTRY_LOCAL as this machine does,
PVSERVE_TEST_REGISTRY_LOGIN (USER:PASSWORD) and PVSERVE_TEST_REGISTRY_CA.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode, urljoin

import pytest

from pvserve.cluster import Cluster
from tests.unit.transfer.fetch.packing import layer

from .offers import told
from .ui_service import make

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
Layers = list[tuple[str, bytes, dict[str, str]]]  # media type, content, annotations


def cas() -> list[Path]:
    """The certificate of who vouches for it, where there is one."""
    return [Path(told("REGISTRY_CA"))] if os.environ.get("PVSERVE_TEST_REGISTRY") else []


def pull_secret(cluster: Cluster, name: str) -> None:
    """A Secret as `kubectl create secret docker-registry` makes it."""
    word = base64.b64encode(told("REGISTRY_LOGIN").encode()).decode()
    text = json.dumps({"auths": {told("REGISTRY"): {"auth": word}}})
    kind = "kubernetes.io/dockerconfigjson"
    data = {".dockerconfigjson": text}
    make(cluster, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data})


def push_image(repository: str, files: dict[str, bytes]) -> str:
    """A modelcar in two layers, one of them compressed, which hides and removes what lies below it; its address."""
    first, *others = sorted(files)
    lower = {f"models/{first}": files[first], f"models/{others[0]}": b"hidden", "models/gone": b"removed"}
    upper = {f"models/{name}": files[name] for name in others} | {"models/.wh.gone": b""}
    return _push(repository, [(*layer(lower, ""), {}), (*layer(upper), {})])


def push_artifact(repository: str, files: dict[str, bytes]) -> str:
    """One blob for each file, as `oras push` has them; its address."""
    title = "org.opencontainers.image.title"
    return _push(repository, [("application/octet-stream", data, {title: name}) for name, data in files.items()])


def _push(repository: str, layers: Layers) -> str:
    token = _token(repository)
    rows = [_blob(repository, token, *each) for each in layers]
    config = _blob(repository, token, "application/vnd.oci.image.config.v1+json", b"{}", {})
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": rows}
    _ask("PUT", f"/v2/{repository}/manifests/1", token, json.dumps(manifest).encode(), MANIFEST)
    return f"oci://{told('REGISTRY')}/{repository}:1"


def _blob(repository: str, token: str, kind: str, data: bytes, annotations: dict[str, str]) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    where, _ = _ask("POST", f"/v2/{repository}/blobs/uploads/", token, b"", "")
    where = f"{where}{'&' if '?' in where else '?'}{urlencode({'digest': digest})}"
    _ask("PUT", where, token, data, "application/octet-stream")
    return {"mediaType": kind, "digest": digest, "size": len(data), "annotations": annotations}


def _token(repository: str) -> str:
    basic = "Basic " + base64.b64encode(told("REGISTRY_LOGIN").encode()).decode()
    query = urlencode({"service": "bed", "scope": f"repository:{repository}:pull,push"})
    _, text = _ask("GET", f"/token?{query}", basic, None, "")
    return f"Bearer {json.loads(text)['token']}"


def _ask(method: str, where: str, authorization: str, data: bytes | None, kind: str) -> tuple[str, bytes]:
    """The Location that it names, and the body."""
    url = urljoin(f"https://{told('REGISTRY_LOCAL')}", where)
    headers = {"Authorization": authorization, **({"Content-Type": kind} if kind else {})}
    request = urllib.request.Request(url, data, headers, method=method)
    context = ssl.create_default_context(cafile=told("REGISTRY_CA"))
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return answer.headers.get("Location") or "", answer.read()
    except urllib.error.HTTPError as error:
        pytest.fail(f"the registry answers {error.code} to {method} {where}: {error.read()[:300]!r}")
