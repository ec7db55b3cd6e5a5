"""Takes files from Debian: single packages, and the base root file system the Python images share.

The mirror is the machine's own: no host name is written here. Knows no recipe and no image format.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bed.images.errors import ImageError
from bed.images.programs import run

SUITE = "bookworm"  # its python3 is 3.11, which every pinned wheel has a build for
MIRROR_SETTING = "BED_DEBIAN_MIRROR"
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"  # /bin is a link to /usr/bin, as Debian's installer makes it
KEYRING = Path("usr/share/keyrings/debian-archive-keyring.gpg")
BASE_PACKAGES = (
    *("base-files", "base-passwd", "dash", "coreutils", "findutils", "grep", "gzip", "hostname", "sed", "tar"),
    *("ca-certificates", "libc-bin", "media-types", "python3"),
    *("libgomp1", "libnuma1", "libstdc++6"),  # what the servers' compiled wheels link to and do not bring
)
# Left out of the base: what the machine lends it while it is made, package bookkeeping, manuals.
NOT_IN_BASE = (
    *("etc/apt", "etc/fstab", "etc/hostname", "etc/resolv.conf", "var/cache", "var/lib/apt", "var/lib/dpkg"),
    *("var/log", "usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/lintian"),
)


def install_on_machine(package: str) -> None:
    """Install a Debian package on this machine, for a program the build needs."""
    argv = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "-q", "--no-install-recommends", package]
    _with_fresh_lists(argv, f"installing {package} on this machine", {"DEBIAN_FRONTEND": "noninteractive"})


def unpack(package: str, target: Path) -> None:
    """Download a package as this machine's apt sees it and unpack its files into `target`, installing nothing."""
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        # apt downloads to its working directory only, hence env -C
        argv = ["env", "-C", directory, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
        _with_fresh_lists(argv, f"downloading the Debian package {package}")
        for archive in Path(directory).glob("*.deb"):
            run(["dpkg-deb", "-x", archive, target], doing=f"unpacking {archive.name}")


def make_base(target: Path) -> None:
    """Fill `target` with the files of BASE_PACKAGES: a root file system with python3, made without maintainer scripts.

    mmdebstrap's `extract` variant takes 4 s where debootstrap takes 37 s, and works in a mount namespace of its own,
    so that a killed build leaves no mount behind. Raises ImageError.
    """
    if not shutil.which("mmdebstrap"):
        install_on_machine("mmdebstrap")
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        sources = Path(directory, "debian.list")
        mirror = os.environ.get(MIRROR_SETTING)
        targets = [("Debian", "Debian", mirror)] if mirror else _apt_targets()
        sources.write_text(source_lines(targets, _keyring(Path(directory))))
        argv = ["mmdebstrap", "--mode=root", "--variant=extract", f"--hook-dir={MERGED_USR}"]
        argv += [f"--include={','.join(BASE_PACKAGES)}"]
        remedy = f"Check the mirror, or name one that has Debian {SUITE}: {MIRROR_SETTING}=URL"
        run([*argv, SUITE, target, sources], doing=f"making the Debian {SUITE} base", remedy=remedy)
    _finish_base(target)


def _finish_base(root: Path) -> None:
    """Do by hand the little that the packages' own scripts would do, and drop what does not belong to an image."""
    for name in NOT_IN_BASE:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for node in (root / "dev").iterdir():
        node.unlink() if not node.is_dir() or node.is_symlink() else shutil.rmtree(node)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(path.read_text() for path in authorities))
    for name in ("dev/shm", "mnt/models", "var/cache", "var/log"):  # compiling in several processes needs the first
        (root / name).mkdir(parents=True, exist_ok=True)


def source_lines(targets: Sequence[tuple[str, str, str]], keyring: Path) -> str:
    """Return the apt source lines for SUITE on the first Debian mirror in `targets`, with its security updates.

    `targets` are (origin, label, repository) as apt lists them. Raises ImageError when none of them can have SUITE.
    """
    signed = f"[signed-by={keyring}]"
    main = next((uri for origin, label, uri in targets if (origin, label) == ("Debian", "Debian")), None)
    if main:
        updates = sorted({uri for _, label, uri in targets if label == "Debian-Security"})
        lines = [f"deb {signed} {main} {SUITE} main", *(f"deb {signed} {u} {SUITE}-security main" for u in updates)]
        return "\n".join(lines) + "\n"
    ubuntu = next((uri for origin, _, uri in targets if origin == "Ubuntu" and uri.endswith("/ubuntu/")), None)
    if ubuntu:  # mirrors that carry Ubuntu mostly carry Debian beside it
        return f"deb {signed} {ubuntu.removesuffix('ubuntu/')}debian/ {SUITE} main\n"
    raise ImageError(
        f"making the Debian {SUITE} base: this machine's apt sources name neither a Debian nor an Ubuntu mirror.\n"
        f"Name a mirror that has Debian {SUITE}: {MIRROR_SETTING}=URL"
    )


def _apt_targets() -> list[tuple[str, str, str]]:
    """Return (origin, label, repository) of the package lists this machine's apt has, in apt's order."""
    question = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]
    found = run(question, doing="asking apt for its mirrors")
    if "Debian|" not in found and "Ubuntu|" not in found:  # no lists: a fresh machine or container
        run(["apt-get", "-q", "update"], doing="updating apt's package lists")
        found = run(question, doing="asking apt for its mirrors")
    fields = [line.split("|") for line in found.splitlines() if line.count("|") == 2]
    return [(origin, label, uri) for origin, label, uri in fields]


def _keyring(directory: Path) -> Path:
    """Return the keys that sign Debian; Ubuntu does not install them."""
    installed = Path("/") / KEYRING
    if installed.exists():
        return installed
    unpacked = directory / "keyring"
    unpack("debian-archive-keyring", unpacked)
    return unpacked / KEYRING


def _with_fresh_lists(argv: Sequence[str], doing: str, env: dict[str, str] | None = None) -> None:
    """Run an apt command; when it fails, once more after `apt-get update` (old lists name vanished files)."""
    try:
        run(argv, doing=doing, env=env)
    except ImageError:
        run(["apt-get", "-q", "update"], doing=f"{doing}: updating apt's package lists")
        run(argv, doing=doing, env=env)
