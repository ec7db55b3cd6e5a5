"""Model directories: padding has the size asked for; a Hugging Face cache is laid out as huggingface_hub does it."""

import hashlib
import re
from pathlib import Path

import pytest

from bed import models
from bed.images import ImageError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model/sub").mkdir(parents=True)
    (tmp_path / "model/config.json").write_text("hello\n")
    (tmp_path / "model/sub/model.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


@pytest.mark.parametrize(("size", "files"), [(0, 1), (10, 4), (models.BLOCK * 2 + 1, 3), (3, 5)])
def test_padding_has_exactly_the_size_and_the_files(tmp_path: Path, size: int, files: int) -> None:
    models.pad(tmp_path, size, files)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert (len(sizes), sum(sizes)) == (files, size)
    assert max(sizes) - min(sizes) <= 1


def test_padding_is_random_and_always_the_same(tmp_path: Path) -> None:
    contents = [
        [path.read_bytes() for path in sorted(models.pad(tmp_path / name, 4096, 2, seed).iterdir())]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert contents[0] == contents[1]
    assert contents[0][0] != contents[0][1]
    assert contents[0] != contents[2]


def test_a_hugging_face_cache_reads_as_the_model(model: Path, tmp_path: Path) -> None:
    snapshot = models.huggingface_cache(model, tmp_path / "hub", "org/name")
    store = tmp_path / "hub/models--org--name"
    assert snapshot == store / "snapshots" / (store / "refs/main").read_text()
    assert (snapshot / "config.json").read_text() == "hello\n"
    assert (snapshot / "sub/model.safetensors").read_bytes() == b"weights"


def test_blobs_bear_the_names_the_hub_gives_them(model: Path, tmp_path: Path) -> None:
    snapshot = models.huggingface_cache(model, tmp_path / "hub")
    small, large = (snapshot / name for name in ("config.json", "sub/model.safetensors"))
    assert small.is_symlink()
    assert small.readlink() == Path("../../blobs/ce013625030ba8dba906f756967f9e9ca394464a")  # git hash-object
    assert large.resolve().name == hashlib.sha256(b"weights").hexdigest()
    assert re.fullmatch(r"[0-9a-f]{40}", snapshot.name)


def test_storing_a_model_twice_changes_nothing(model: Path, tmp_path: Path) -> None:
    first = models.huggingface_cache(model, tmp_path / "hub")
    files = sorted((tmp_path / "hub").rglob("*"))
    assert models.huggingface_cache(model, tmp_path / "hub") == first
    assert sorted((tmp_path / "hub").rglob("*")) == files


@pytest.mark.parametrize(("text", "size"), [("2Gi", 2 << 30), ("500M", 500_000_000), ("7", 7), ("1KiB", 1024)])
def test_sizes_are_read_as_kubernetes_writes_them(text: str, size: int) -> None:
    assert models.read_size(text) == size


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no model kind 'onnx'; there are: gguf, llama, "):
        models.make("onnx", tmp_path / "model")
    assert not (tmp_path / "model").exists()
