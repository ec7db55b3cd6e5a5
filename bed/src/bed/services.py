"""What the bed adds to plain Kubernetes: names (CoreDNS), S3 (versitygw), a registry, storage classes.

Owns how they run as processes of the machine and how pods reach them: Services without selectors whose endpoint is
the bridge's address.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from bed import openshift, pki
from bed.nodes import NODES
from bed.settings import (
    ADDRESS,
    DNS_PORT,
    DNS_READY_PORT,
    DNS_SERVICE,
    DOMAIN,
    REGISTRY_PORT,
    S3_PORT,
    SYSTEM_NAMESPACE,
    Settings,
)

BLOCK, SHARED = "bed.pvserve.io/block", "bed.pvserve.io/shared"
READERS = "readers"  # a class's parameter: "many" read its volumes, and nobody writes to them
REGISTRY_NAME = f"registry.{SYSTEM_NAMESPACE}.svc.{DOMAIN}"
S3_ENDPOINT = f"http://s3.{SYSTEM_NAMESPACE}.svc.{DOMAIN}:{S3_PORT}"


def commands(bed: Settings, binary: dict[str, Path]) -> dict[str, tuple[list[str | Path], dict[str, str]]]:
    """Command and environment of each process."""
    corefile = bed.home / "Corefile"
    corefile.write_text(_corefile(bed))
    access, secret = s3_keys(bed)
    (bed.home / "s3").mkdir(exist_ok=True)
    s3: list[str | Path] = [binary["versitygw"], "--port", f"{ADDRESS}:{S3_PORT}", "--access-log", s3_access_log(bed)]
    s3 += ["posix", bed.home / "s3"]
    return {
        "coredns": ([binary["coredns"], "-conf", corefile], {}),
        "registry": (_registry(bed, binary), {}),
        "versitygw": (s3, {"ROOT_ACCESS_KEY": access, "ROOT_SECRET_KEY": secret}),
        "provisioner": ([sys.executable, "-P", "-m", "bed.provisioner"], {"KUBECONFIG": str(bed.kubeconfig)}),
    }


def s3_keys(bed: Settings) -> tuple[str, str]:
    """Access key and secret key of the bed's S3, made once; also user and password of its registry."""
    file = bed.home / "s3.keys"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(f"bed {secrets.token_hex(16)}")
    access, secret = file.read_text().split()
    return access, secret


def _registry(bed: Settings, binary: dict[str, Path]) -> list[str | Path]:
    """Over TLS with a certificate of the bed's authority."""
    directory = bed.home / "registry"
    directory.mkdir(exist_ok=True)
    certificate, key = pki.serving(bed.home / "pki", "registry", [ADDRESS], [REGISTRY_NAME])
    user, password = s3_keys(bed)
    address = f"{ADDRESS}:{REGISTRY_PORT}"
    return [binary["registry"], address, certificate, key, directory, f"{user}:{password}"]


def s3_access_log(bed: Settings) -> Path:
    """One line per request: what the demo counts S3 reads by."""
    return bed.home / "log" / "s3-access.log"


def provisioner_ready(bed: Settings) -> Path:
    """The provisioner writes its pid here after its first look at the cluster."""
    return bed.home / "provisioner.ready"


def _corefile(bed: Settings) -> str:
    """The cluster's names, and "no such name" for all others: the bed has no way out."""
    return f"""{DOMAIN}:{DNS_PORT} in-addr.arpa:{DNS_PORT} {{
    bind {ADDRESS}
    errors
    ready 127.0.0.1:{DNS_READY_PORT}
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {bed.kubeconfig}
        pods insecure
    }}
    cache 5
}}
.:{DNS_PORT} {{
    bind {ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def objects() -> list[dict[str, object]]:
    """Namespace, Services with their endpoints, StorageClasses, and the kind Template."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}},
        *_service(
            "kube-system", "kube-dns", DNS_SERVICE, [("dns", "UDP", 53, DNS_PORT), ("dns-tcp", "TCP", 53, DNS_PORT)]
        ),
        *_service(SYSTEM_NAMESPACE, "s3", None, [("http", "TCP", S3_PORT, S3_PORT)]),
        *_service(SYSTEM_NAMESPACE, "registry", None, [("https", "TCP", REGISTRY_PORT, REGISTRY_PORT)]),
        _storage_class("gp3-csi", BLOCK, "WaitForFirstConsumer", default=True),
        _storage_class("nfs-rwx", SHARED, "Immediate", default=False),
        {**_storage_class("pd-rox", BLOCK, "Immediate", default=False), **_read_only_many()},
        openshift.definition(),
    ]


def _service(
    namespace: str, name: str, address: str | None, ports: list[tuple[str, str, int, int]]
) -> list[dict[str, object]]:
    metadata: dict[str, object] = {"name": name, "namespace": namespace}
    listed = [{"name": port[0], "protocol": port[1], "port": port[2], "targetPort": port[3]} for port in ports]
    spec: dict[str, object] = {"ports": listed} | ({"clusterIP": address} if address else {})
    slice_: dict[str, object] = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": port[0], "protocol": port[1], "port": port[3]} for port in ports],
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
    }
    return [{"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, slice_]


def _read_only_many() -> dict[str, object]:
    """As a class of a block driver whose volumes every zone of it reads, once they are made of something else.

    Source: https://cloud.google.com/kubernetes-engine/docs/how-to/persistent-volumes/hyperdisk-ml ("multi-zone")
    """
    zones = [{"key": "topology.kubernetes.io/zone", "values": [node.zone for node in NODES]}]
    return {
        "parameters": {READERS: "many"},
        "allowVolumeExpansion": False,
        "allowedTopologies": [{"matchLabelExpressions": zones}],
    }


def _storage_class(name: str, provisioner: str, binding: str, *, default: bool) -> dict[str, object]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": provisioner,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": binding,
        "allowVolumeExpansion": True,
    }
