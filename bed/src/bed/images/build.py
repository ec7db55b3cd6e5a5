"""Makes one image archive from one recipe, in a directory it is given. Knows no cache and no lock."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from bed.images import debian, torch_cpu, wheels
from bed.images.archive import Layer, read_layer, write_archive, write_layer
from bed.images.programs import run
from bed.images.recipes import INSIDE, BusyboxImage, PythonImage

ROOT, LAYER = "rootfs", "layer.tar"  # what a base directory holds
SITE = "opt/runtime"  # where the wheels lie in an image; not site-packages, so Debian's python stays as Debian made it
ANY_USER = "1000"  # numeric, or the kubelet cannot see that it is not root; any other user id works too
PYTHON_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": f"/{SITE}",
    "PYTHONDONTWRITEBYTECODE": "1",  # the root file system is read-only; its bytecode is made with the image
    "HOME": "/tmp",  # noqa: S108  a random user id has no home of its own
    "USER": "runtime",  # nor a name: getpass would look in /etc/passwd and fail
}


def build_base(directory: Path) -> None:
    """Make the Debian base in `directory`: the root file system and its layer."""
    root = directory / ROOT
    debian.make_base(root)
    (root / SITE).parent.mkdir(parents=True, exist_ok=True)
    compile_python(root, "usr/lib/python3.11")
    write_layer(root, directory / LAYER)


def build_busybox(recipe: BusyboxImage, reference: str, directory: Path) -> Path:
    """Make an image of static busybox in `directory`; return the archive."""
    package, root = directory / "package", directory / "root"
    debian.unpack("busybox-static", package)
    for name in ("bin", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    busybox = root / "bin/busybox"
    shutil.copy(next(path for path in package.rglob("bin/busybox") if path.is_file()), busybox)
    for applet in run([busybox, "--list"], doing="asking busybox for its commands").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    layer = write_layer(root, directory / LAYER)
    return _write(directory, reference, [layer], recipe.config)


def build_python(recipe: PythonImage, reference: str, base: Path, directory: Path) -> Path:
    """Make an image of wheels on the base made by `build_base` in `base`; return the archive."""
    root = directory / "root"
    site = root / SITE
    wheels.install(recipe.name, site)
    for pattern in recipe.drop:
        run(["rm", "-rf", *site.glob(pattern)], doing=f"leaving out {pattern}")
    if recipe.cpu_torch:
        torch_cpu.make_cpu_only(site)
    _compile_on_base(base / ROOT, root, directory / "compiled")
    for place, name in recipe.files.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(INSIDE / name, root / place)
        (root / place).chmod(0o755)
    layers = [read_layer(base / LAYER), write_layer(root, directory / LAYER)]
    config = {
        "Entrypoint": list(recipe.entrypoint),
        "Env": [f"{name}={value}" for name, value in {**PYTHON_ENV, **recipe.env}.items()],
        "User": ANY_USER,
        "WorkingDir": recipe.workdir,
    }
    return _write(directory, reference, layers, config)


def _write(directory: Path, reference: str, layers: list[Layer], config: Mapping[str, object]) -> Path:
    archive = directory / "image.tar"
    write_archive(archive, reference, layers, config, wheels.architecture())
    return archive


def _compile_on_base(base: Path, root: Path, scratch: Path) -> None:
    """Compile `root`'s wheels with the base's own python, in a copy of the base made of hard links."""
    run(["cp", "-al", base, scratch], doing="copying the base")
    (root / SITE).rename(scratch / SITE)
    compile_python(scratch, SITE)
    (scratch / SITE).rename(root / SITE)
    shutil.rmtree(scratch)


def compile_python(root: Path, path: str) -> None:
    """Make bytecode below `path` with the python in `root`.

    Unchecked: python would otherwise compare the source's time, which a layer does not keep, and compile at each start.
    """
    for cached in (root / path).rglob("__pycache__"):
        shutil.rmtree(cached)
    argv: list[str | Path] = ["chroot", root, "/usr/bin/python3", "-m", "compileall", "-q", "-j", "2"]
    run([*argv, "--invalidation-mode", "unchecked-hash", f"/{path}"], doing=f"compiling {path}")
