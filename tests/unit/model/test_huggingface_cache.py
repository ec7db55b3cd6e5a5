"""A model in a Hugging Face cache, given as its snapshot or as its repository directory."""

import hashlib
from pathlib import Path

import pytest

from pvserve.errors import DataDiffers, Refused, UsageError
from pvserve.model import full_manifest, listing

REVISION = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS, CONFIG = b"weights" * 100, b'{"a": 1}'
WEIGHTS_SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
CONFIG_GIT_ID = hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The layout that `hf download` leaves behind."""
    root = tmp_path / "hub" / "models--ibm-granite--granite--7b"
    snapshot = root / "snapshots" / REVISION
    (root / "blobs").mkdir(parents=True)
    (root / "refs").mkdir()
    (snapshot / "sub").mkdir(parents=True)
    (root / "refs" / "main").write_text(REVISION)
    (root / "blobs" / WEIGHTS_SHA256).write_bytes(WEIGHTS)
    (root / "blobs" / CONFIG_GIT_ID).write_bytes(CONFIG)
    (snapshot / "model.bin").symlink_to(f"../../blobs/{WEIGHTS_SHA256}")
    (snapshot / "sub" / "config.json").symlink_to(f"../../../blobs/{CONFIG_GIT_ID}")
    return root


def test_repository_and_snapshot_are_the_same_model(repository: Path) -> None:
    by_repository = listing(repository)
    by_snapshot = listing(repository / "snapshots" / REVISION)
    assert by_repository == by_snapshot
    assert [entry.path for entry in by_repository.entries] == ["model.bin", "sub/config.json"]
    assert by_repository.source == f"hf://ibm-granite/granite--7b@{REVISION}"
    assert by_repository.name == "granite--7b"


def test_blob_names_promise_a_digest_only_for_large_files(repository: Path) -> None:
    assert [entry.promised_sha256 for entry in listing(repository).entries] == [WEIGHTS_SHA256, ""]
    assert full_manifest(listing(repository)).entries[0].sha256 == WEIGHTS_SHA256


def test_a_blob_that_breaks_its_promise_is_named(repository: Path) -> None:
    (repository / "blobs" / WEIGHTS_SHA256).write_bytes(WEIGHTS[:-1] + b"?")
    with pytest.raises(DataDiffers) as caught:
        full_manifest(listing(repository))
    assert caught.value.reason == "SourceDamaged"
    assert "model.bin is not what Hugging Face published" in caught.value.message
    assert caught.value.remedy[0].startswith("rm ")


def test_links_may_lead_into_blobs_and_nowhere_else(repository: Path) -> None:
    for name, target in {"ref": "../../refs/main", "other": "../../../x", "passwd": "/etc/passwd"}.items():
        link = repository / "snapshots" / REVISION / name
        (repository.parent / "x").write_text("x")
        link.symlink_to(target)
        with pytest.raises(Refused, match=f"{name} is a link that leaves"):
            listing(repository)
        link.unlink()


def test_a_look_alike_outside_of_a_cache_gets_no_blobs(tmp_path: Path) -> None:
    model = tmp_path / "snapshots" / "abc"
    model.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_text("x")
    (model / "x").symlink_to("../../blobs/x")
    with pytest.raises(Refused, match="leaves the model directory"):
        listing(model)


def test_without_refs_main_the_only_revision_is_taken(repository: Path) -> None:
    (repository / "refs" / "main").unlink()
    assert listing(repository).source.endswith(REVISION)


def test_among_several_revisions_main_wins_or_the_user_chooses(repository: Path) -> None:
    (repository / "snapshots" / ("f" * 40)).mkdir()
    assert listing(repository).source.endswith(REVISION)
    (repository / "refs" / "main").write_text("e" * 40)
    with pytest.raises(UsageError) as caught:
        listing(repository)
    assert caught.value.reason == "WhichSnapshot"
    assert any(REVISION in line for line in caught.value.remedy)


def test_a_repository_without_snapshots(repository: Path) -> None:
    for path in sorted((repository / "snapshots").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    with pytest.raises(UsageError, match="download was not finished") as caught:
        listing(repository)
    assert caught.value.remedy == ("hf download ibm-granite/granite--7b",)


def test_a_whole_cache_is_no_model(repository: Path) -> None:
    with pytest.raises(UsageError) as caught:
        listing(repository.parent)
    assert caught.value.reason == "WhichModel"
    assert str(repository) in caught.value.remedy[1]


def test_unfinished_downloads_are_mentioned(repository: Path) -> None:
    (repository / "blobs" / "abc.incomplete").write_text("x")
    assert "1 downloads into the Hugging Face cache" in listing(repository).notes[0]


def test_a_revision_that_names_another_place_is_not_followed(repository: Path) -> None:
    (repository / "refs" / "main").write_text("../../../../etc")
    assert listing(repository).source.endswith(REVISION)
