"""Installs wheels from the pinned requirements files and renews the pins. Knows no image.

`NAME.in` says what is wanted, `NAME.overrides` and `NAME.excludes` (both optional) what to change in the resolution,
`NAME.txt` is the result: exact versions with hashes and no host name, so that any index with the same files serves.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from bed.images.errors import ImageError
from bed.images.programs import run

FOLDER = Path(__file__).with_name("pins")
PYTHON = "3.11"  # Debian bookworm's
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}  # uname's words to the container world's


def architecture() -> str:
    """Return this machine's architecture as container images name it; ImageError for one without wheels."""
    try:
        return MACHINES[platform.machine()]
    except KeyError:
        raise ImageError(f"images can be made on {' and '.join(MACHINES)}, not on {platform.machine()}") from None


def requirements(name: str) -> Path:
    """Return the pinned requirements file of `name`."""
    return FOLDER / f"{name}.txt"


def install(name: str, target: Path) -> None:
    """Install the pinned wheels of `name` into `target` for the base's python, whatever python runs this."""
    argv = _uv("install", "--target", target, "--no-deps", "--require-hashes", "--link-mode", "copy")
    run(
        [*argv, *_for_base(), "-r", requirements(name)],
        doing=f"installing the wheels of {name}",
        env=_index_settings(),
        remedy="If the index lacks a pinned file, renew the pins: python -m bed.images lock " + name,
    )
    _forget_scripts(target)


def install_for_this_python(name: str, target: Path) -> None:
    """Install the pinned wheels of `name` into `target` for the python that runs this."""
    argv = _uv("install", "--target", target, "--no-deps", "--require-hashes")
    run(
        [*argv, "--python", sys.executable, "--only-binary", ":all:", "-r", requirements(name)],
        doing=f"installing the wheels of {name}",
        env=_index_settings(),
    )


def lock(name: str) -> None:
    """Resolve NAME.in again and write NAME.txt."""
    argv = _uv("compile", "--upgrade", "--generate-hashes", "--no-emit-index-url", "--no-annotate")
    for kind in ("overrides", "excludes"):
        if (extra := FOLDER / f"{name}.{kind}").exists():
            argv += [f"--{kind}", extra]
    again = f"python -m bed.images lock {name}"
    argv += ["--custom-compile-command", again, *_for_base(), "-o", requirements(name), FOLDER / f"{name}.in"]
    run(argv, doing=f"resolving the wheels of {name}", env=_index_settings())


def _for_base() -> list[str]:
    machine = "aarch64" if architecture() == "arm64" else "x86_64"
    # glibc of bookworm is 2.36
    return ["--python-version", PYTHON, "--python-platform", f"{machine}-manylinux_2_36", "--only-binary", ":all:"]


def _forget_scripts(target: Path) -> None:
    """Drop the wheels' command scripts: their first line names this machine's python, not the image's."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for record in target.glob("*.dist-info/RECORD"):
        lines = [line for line in record.read_text().splitlines() if not line.startswith("bin/")]
        record.write_text("\n".join(sorted(lines)) + "\n")


def _uv(*words: str | Path) -> list[str | Path]:
    beside = Path(sys.executable).with_name("uv")
    found = beside if beside.exists() else shutil.which("uv")
    if not found:
        python = sys.executable
        raise ImageError(f"uv is neither beside {python} nor on PATH.\nInstall it: {python} -m pip install uv")
    return [found, "pip", *words, "-q"]


def _index_settings() -> dict[str, str]:
    """Return the environment that makes uv, which reads no pip settings, use the machine's index and certificates."""
    settings = {"UV_SYSTEM_CERTS": "1"}
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & os.environ.keys():
        question = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        asked = subprocess.run(question, check=False, capture_output=True, text=True)  # fails where none is set
        if index := os.environ.get("PIP_INDEX_URL") or asked.stdout.strip():
            settings["UV_DEFAULT_INDEX"] = index
    return settings
