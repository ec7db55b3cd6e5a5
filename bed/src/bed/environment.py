"""What the cluster tests need to know of this bed and cannot learn from the Kubernetes API, as shell `export` lines.

Owns the names of these variables. The tests take them from any cluster's owner in the same way; without them they
make do with what the cluster shows.
"""

from __future__ import annotations

import shlex

from bed import processes, services
from bed.errors import BedError
from bed.images import reference
from bed.settings import ADDRESS, REGISTRY_PORT, S3_PORT, Settings

IMAGES = {
    "BUSYBOX": "busybox",  # sh, tar and sha256sum, no Python
    "STORAGE_INITIALIZER": "storage-initializer",
    "LLAMA": "llama-server",
    "MLSERVER": "mlserver",
}
S3_REGION = "us-east-1"  # versitygw's own


def variables(bed: Settings) -> dict[str, str]:
    """KUBECONFIG, images (PVSERVE_TEST_IMAGE_*), S3 (PVSERVE_TEST_S3_*), a registry (PVSERVE_TEST_REGISTRY*).

    Raises BedError when the bed is down."""
    if not processes.pid(bed, "kube-apiserver"):
        raise BedError("the bed is not up", "bed up")
    access, secret = services.s3_keys(bed)
    return {
        "KUBECONFIG": str(bed.kubeconfig),
        **{f"PVSERVE_TEST_IMAGE_{name}": reference(image) for name, image in IMAGES.items()},
        "PVSERVE_TEST_S3_ENDPOINT": services.S3_ENDPOINT,  # as pods reach it
        "PVSERVE_TEST_S3_LOCAL_ENDPOINT": f"http://{ADDRESS}:{S3_PORT}",  # as the tests' own machine reaches it
        "PVSERVE_TEST_S3_ACCESS_KEY": access,
        "PVSERVE_TEST_S3_SECRET_KEY": secret,
        "PVSERVE_TEST_S3_REGION": S3_REGION,
        "PVSERVE_TEST_REGISTRY": f"{services.REGISTRY_NAME}:{REGISTRY_PORT}",  # as pods reach it
        "PVSERVE_TEST_REGISTRY_LOCAL": f"{ADDRESS}:{REGISTRY_PORT}",
        "PVSERVE_TEST_REGISTRY_LOGIN": f"{access}:{secret}",
        "PVSERVE_TEST_REGISTRY_CA": str(bed.home / "pki" / "ca.crt"),
    }


def as_exports(values: dict[str, str]) -> str:
    """Lines for `eval` in a POSIX shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())
