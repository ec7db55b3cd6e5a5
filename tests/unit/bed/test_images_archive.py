"""The image format: equal trees give equal bytes, any user id can read, and the parts name each other rightly."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from bed.images.archive import TIME, write_archive, write_layer


def make_tree(root: Path, umask: int) -> Path:
    before = os.umask(umask)
    try:
        (root / "opt/tool").mkdir(parents=True)
        (root / "tmp").mkdir()
        (root / "opt/tool/run").write_text("#!/bin/sh\n")
        (root / "opt/tool/run").chmod(0o700)
        (root / "opt/tool/data").write_text("data")
        (root / "opt/link").symlink_to("tool/run")
        (root / "opt" / ("long" * 40)).write_text("a name that needs an extended header")
    finally:
        os.umask(before)
    return root


def entries(layer: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer) as archive:
        return {entry.name: entry for entry in archive}


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    return write_layer(make_tree(tmp_path / "tree", 0o077), tmp_path / "layer.tar").path


def test_equal_trees_give_equal_archives(tmp_path: Path) -> None:
    archives = []
    for name, umask in (("first", 0o022), ("second", 0o077)):
        tree = make_tree(tmp_path / name, umask)
        os.utime(tree / "opt/tool/data", (umask, umask))
        layer = write_layer(tree, tmp_path / f"{name}.layer")
        archives.append(tmp_path / f"{name}.tar")
        write_archive(archives[-1], "bed.local/x:1", [layer], {"User": "1000"}, "amd64")
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_any_user_can_read_and_only_tmp_can_be_written(layer: Path) -> None:
    found = entries(layer)
    assert found["./opt/tool/data"].mode == 0o644
    assert found["./opt/tool/run"].mode == found["./opt/tool"].mode == 0o755
    assert found["./tmp"].mode == 0o1777


def test_entries_belong_to_root_and_bear_one_time(layer: Path) -> None:
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries(layer).values()} == {(0, 0, TIME)}


def test_links_stay_links(layer: Path) -> None:
    assert entries(layer)["./opt/link"].linkname == "tool/run"


def test_archive_names_its_layers_by_their_content(tmp_path: Path) -> None:
    layers = []
    for name in ("base", "top"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        layers.append(write_layer(tmp_path / name, tmp_path / f"{name}.tar"))
    write_archive(tmp_path / "image.tar", "bed.local/x:1", layers, {"Entrypoint": ["/x"]}, "arm64")
    with tarfile.open(tmp_path / "image.tar") as archive:
        contents = {entry.name: archive.extractfile(entry).read() for entry in archive}
    (manifest,) = json.loads(contents["manifest.json"])
    image = json.loads(contents[manifest["Config"]])
    assert manifest["RepoTags"] == ["bed.local/x:1"]
    assert image["architecture"] == "arm64"
    assert image["config"] == {"Entrypoint": ["/x"]}
    digests = [f"sha256:{hashlib.sha256(contents[name]).hexdigest()}" for name in manifest["Layers"]]
    assert image["rootfs"]["diff_ids"] == digests
    assert manifest["Config"] == f"{hashlib.sha256(contents[manifest['Config']]).hexdigest()}.json"
