"""Makes model directories for tests and the demo, the same bytes every time: `python -m bed.models gguf DIRECTORY`.

Owns which kinds there are and the layouts around them; the weights are written by bed.weights, in a process with wheels
of its own, so that the bed itself needs neither numpy nor scikit-learn. Knows no Kubernetes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shutil
import sys
from pathlib import Path

from bed.images import ImageError
from bed.images.cache import wheels_for_this_python
from bed.images.programs import run
from bed.settings import settings

KINDS = {
    "gguf": "a tiny llama as one GGUF file, for bed.local/llama-server:1",
    "llama": "the same llama as Hugging Face stores it (safetensors), for bed.local/vllm-cpu:1",
    "gguf-43m": "a llama of 43 million parameters as one GGUF file of 171 MB: its copies show",
    "llama-43m": "the same as Hugging Face stores it",
    "iris": "a scikit-learn classifier of iris flowers, for bed.local/mlserver:1",
}
BLOCK = 1 << 20
_UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


def make(kind: str, directory: Path, cache: Path | None = None) -> Path:
    """Write a model of `kind` (KINDS) into `directory`, world-readable, and return `directory`.

    The first call installs the wheels it needs below `cache`; after that no network is used. Raises ImageError.
    """
    if kind not in KINDS:
        raise ImageError(f"no model kind {kind!r}; there are: {', '.join(KINDS)}")
    directory.mkdir(parents=True, exist_ok=True)
    site = wheels_for_this_python("models", cache or settings().cache)
    writer = Path(__file__).with_name("weights.py")
    # -P: modules of this directory must not stand before the wheels' own
    argv: list[str | Path] = [sys.executable, "-P", writer, kind, directory]
    run(argv, doing=f"making the model {kind}", env={"PYTHONPATH": str(site)})
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors writes 0600, which a pod's user id cannot read
    return directory


def pad(directory: Path, size: int, files: int = 4, seed: int = 0) -> Path:
    """Add `size` bytes of random data in `files` files, to give a model directory the weight of a real one.

    The servers do not read them: llama.cpp takes *.gguf, vLLM *.safetensors, MLServer model.joblib.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        source = random.Random(f"{seed}/{number}")  # noqa: S311  incompressible bytes, not secrets
        left = size * (number + 1) // files - size * number // files
        with (directory / f"padding-{number + 1:05}-of-{files:05}.bin").open("wb") as file:
            while left:
                left -= file.write(source.randbytes(min(left, BLOCK)))
    return directory


def huggingface_cache(model: Path, hub: Path, repository: str = "bed/tiny-llama") -> Path:
    """Store the files of `model` in `hub` as huggingface_hub does; return the snapshot, a directory of links.

    Layout: models--ORG--NAME with blobs/ (by sha256 for large files, git's own sha1 for others), snapshots/COMMIT/
    (links into blobs) and refs/main (the commit).
    """
    store = hub / f"models--{repository.replace('/', '--')}"
    names = {path.relative_to(model): _blob_name(path) for path in sorted(model.rglob("*")) if path.is_file()}
    listing = "".join(f"{blob} {name}\n" for name, blob in names.items())
    commit = hashlib.sha1(listing.encode(), usedforsecurity=False).hexdigest()
    snapshot = store / "snapshots" / commit
    for name, blob in names.items():
        stored, link = store / "blobs" / blob, snapshot / name
        stored.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model / name, stored)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(stored, link.parent))
    (store / "refs").mkdir(exist_ok=True)
    (store / "refs/main").write_text(commit)
    return snapshot


def _blob_name(path: Path) -> str:
    if path.suffix in {".safetensors", ".bin", ".gguf", ".joblib"}:  # what the hub keeps in large-file storage
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def read_size(text: str) -> int:
    """Return the number of bytes that a size such as 2Gi or 500M means."""
    matched = re.fullmatch(r"(\d+)([KMG]i|[kMG]|)B?", text)
    if not matched:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 2Gi, 500M or a number of bytes")
    return int(matched[1]) * _UNITS[matched[2]]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bed.models",
        description="Make a model directory.",
        epilog="; ".join(f"{kind}: {text}" for kind, text in KINDS.items()),
    )
    parser.add_argument("kind", choices=[*KINDS, "padding"], help="padding: random data only")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--pad", type=read_size, default=0, metavar="SIZE", help="add random data, such as 2Gi")
    parser.add_argument("--files", type=int, default=4, help="the number of files --pad makes (default: 4)")
    parser.add_argument("--hf-cache", metavar="ORG/NAME", help="make DIRECTORY a Hugging Face cache with this model")
    parser.add_argument("--cache", type=Path, default=settings().cache, help="where the wheels are kept")
    given = parser.parse_args()
    try:
        print(_make_as_asked(given))
    except ImageError as error:
        sys.exit(f"bed.models: {error}")
    except OSError as error:
        sys.exit(f"bed.models: cannot write {error.filename}: {error.strerror}")


def _make_as_asked(given: argparse.Namespace) -> Path:
    target: Path = given.directory / "model.tmp" if given.hf_cache else given.directory
    if given.kind != "padding":
        make(given.kind, target, given.cache)
    if given.pad:
        pad(target, given.pad, given.files)
    if not given.hf_cache:
        return target
    snapshot = huggingface_cache(target, given.directory, given.hf_cache)
    shutil.rmtree(target)
    return snapshot


if __name__ == "__main__":
    main()
