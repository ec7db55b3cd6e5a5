"""A pod that sells models as S3, the Hugging Face Hub and a web server do, over TLS with a CA of this test's own.

It is the server of tests/unit/transfer/fetch/shop.py in a pod with Python; its files are made of a seed, so that the
test knows them without a byte being sent.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from pvserve.cluster import Cluster
from tests.unit.cluster.authority import Authority

from .offers import image, until
from .ui_service import make

SHOP = Path(__file__).parents[1] / "unit/transfer/fetch/shop.py"
PORT = 8443
PROXY_PORT = 8446
BEHIND = "behind-the-proxy.example"  # a name of the shop that nobody but its proxy knows
SIZES = {"model-00001.safetensors": 24_000_003, "model-00002.safetensors": 3_000_000, "sub/tokenizer.json": 4000}
TOKEN = "hf_word"
# What the pod runs: the same files under the names of each protocol. Of `slow/…` a MiB takes 0.5 s, of `slower/…` 2 s.
RUN = """\
import io, random, socket, socketserver, ssl, sys, tarfile, threading, time
sys.path.insert(0, "/shop")
import shop
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
one_by_one = threading.Lock()
def files(prefix):
    return {prefix + name: random.Random(name).randbytes(size) for name, size in %(sizes)r.items()}
def archive(names):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return {"archive/granite.tar.gz": out.getvalue()}
def serve(port, files, token=""):
    made = shop.Shop(context, ("0.0.0.0", port))
    made.name, made.other_name, made.files, made.token = "%(host)s", "%(host)s.cluster.local", files, token
    def slow(handler, path):
        if "/slow" in path and "list-type" not in handler.path:
            first, _, last = handler.headers.get("Range", "bytes=0-0").removeprefix("bytes=").partition("-")
            with one_by_one:
                time.sleep((int(last) - int(first)) / (1 << 20) * (2 if "/slower" in path else 0.5))
        return False
    made.faults = [slow]
    made.said = {"Content-Type": "application/octet-stream"}  # KServe's storage initializer takes nothing else
class Proxy(socketserver.StreamRequestHandler):
    def handle(self):
        port = int(self.rfile.readline().split()[1].rpartition(b":")[2])
        while self.rfile.readline().strip():
            pass
        there = socket.create_connection(("127.0.0.1", port))
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
        def pump(source, target):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        threading.Thread(target=pump, args=(there, self.connection), daemon=True).start()
        pump(self.connection, there)
proxy = socketserver.ThreadingTCPServer(("0.0.0.0", 8446), Proxy)
threading.Thread(target=proxy.serve_forever, daemon=True).start()
serve(8443, {**files("granite/"), **files("slow/"), **files("slower/"), **files(""), **archive(files(""))})
serve(8444, files(""), %(token)r)
print("open", flush=True)
threading.Event().wait()
"""


def contents() -> dict[str, bytes]:
    """The model that the shop sells."""
    return {path: random.Random(path).randbytes(size) for path, size in SIZES.items()}


def open_shop(cluster: Cluster, directory: Path) -> Path:
    """The shop in the cluster's namespace, serving; the file with its CA's certificate."""
    authority = Authority(directory)
    host = host_of(cluster)
    pair = authority.sign("shop", host, f"{host}.cluster.local", BEHIND)
    run = RUN % {"sizes": SIZES, "host": host, "token": TOKEN}
    make(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "shop"},
            "data": {"shop.py": SHOP.read_text(), "run.py": run},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "shop"},
            "stringData": {"tls.crt": pair.certificate.read_text(), "tls.key": pair.key.read_text()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "shop"},
            "spec": {
                "selector": {"app": "shop"},
                "ports": [
                    {"name": "web", "port": PORT},
                    {"name": "hub", "port": PORT + 1},
                    {"name": "proxy", "port": PROXY_PORT},
                ],
            },
        },
        _pod(),
    )
    until("the shop", lambda: _open(cluster))
    return authority.file


def host_of(cluster: Cluster) -> str:
    """The shop's name in the cluster."""
    return f"shop.{cluster.namespace}.svc"


def trust(cluster: Cluster, *files: Path, name: str = "odh-trusted-ca-bundle") -> None:
    """The ConfigMap that Open Data Hub would put there."""
    data = {"ca-bundle.crt": "", "odh-ca-bundle.crt": "".join(file.read_text() for file in files)}
    make(cluster, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def secret(cluster: Cluster, name: str, **data: str) -> None:
    """A connection."""
    make(cluster, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})


def _open(cluster: Cluster) -> bool:
    pod = cluster.get("v1", "Pod", "shop", cluster.namespace)
    running = (pod.get("status") or {}).get("phase") == "Running"
    return running and "open" in cluster.logs("shop", cluster.namespace, "shop")


def _pod() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shop", "labels": {"app": "shop"}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "shop",
                    "image": image("storage_initializer"),
                    "command": ["python3", "-I", "/shop/run.py"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "shop", "mountPath": "/shop"}, {"name": "tls", "mountPath": "/tls"}],
                }
            ],
            "volumes": [
                {"name": "shop", "configMap": {"name": "shop"}},
                {"name": "tls", "secret": {"secretName": "shop"}},
            ],
        },
    }
