"""A model directory becomes a listing: links inside, links out, special files, what is left out, odd names."""

import contextlib
import os
import re
import socket
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from directories import Tree

from pvserve.errors import PvserveError, Refused, UsageError
from pvserve.model import Listing, listing


def paths(found: Listing) -> list[str]:
    return [entry.path for entry in found.entries]


def refused(directory: Path, **patterns: list[str]) -> Refused:
    with pytest.raises(Refused) as caught:
        listing(directory, **patterns)
    assert caught.value.remedy
    return caught.value


def test_all_files_with_their_metadata(tree: Tree) -> None:
    root = tree({"b.json": "{}", "a/x.bin": b"1234", "run.sh": "", "a.b": ""})
    (root / "run.sh").chmod(0o755)
    found = listing(str(root))
    assert paths(found) == ["a.b", "a/x.bin", "b.json", "run.sh"]
    assert [entry.size for entry in found.entries] == [0, 4, 2, 0]
    assert [entry.executable for entry in found.entries] == [False, False, False, True]
    assert found.bytes == 6
    assert (found.name, found.root, found.source) == ("model", root, str(root))
    info = (root / "a/x.bin").stat()
    entry = found.entries[1]
    assert (entry.inode, entry.device, entry.mtime_ns, entry.ctime_ns, entry.real) == (
        info.st_ino, info.st_dev, info.st_mtime_ns, info.st_ctime_ns, str(root / "a/x.bin"),
    )  # fmt: skip


def test_links_inside_are_followed_and_keep_their_own_name(tree: Tree) -> None:
    root = tree({"real/x": b"123"})
    (root / "file").symlink_to("real/x")
    (root / "absolute").symlink_to(root / "real" / "x")
    (root / "dir").symlink_to("real")
    (root / "chain").symlink_to("file")
    found = listing(root)
    assert paths(found) == ["absolute", "chain", "dir/x", "file", "real/x"]
    assert {Path(entry.real) for entry in found.entries} == {root / "real" / "x"}
    assert found.bytes == 15


def test_the_directory_itself_may_be_a_link(tree: Tree, tmp_path: Path) -> None:
    root = tree({"x": "1"})
    (tmp_path / "link").symlink_to(root)
    assert listing(tmp_path / "link").root == root


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "/", "..", "../outside/.."])
def test_links_out_are_refused_by_name(target: str, tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    root = tree({"x": "1"})
    (root / "sub").mkdir()
    (root / "sub" / "leak").symlink_to(target if target.startswith("/") else "../" + target)
    error = refused(root)
    assert error.reason == "UnloadableFiles"
    assert "sub/leak is a link that leaves the model directory" in error.message
    assert error.subject == str(root / "sub" / "leak")


def test_a_sibling_with_the_same_beginning_is_outside(tree: Tree, tmp_path: Path) -> None:
    root = tree({"x": "1"})
    (tmp_path / "model-secret").write_text("s")
    (root / "leak").symlink_to("../model-secret")
    assert "leaves the model directory" in refused(root).message


@pytest.mark.parametrize(("name", "target"), [("dead", "nowhere"), ("self", "self"), ("not-dir", "x/y")])
def test_links_that_end_nowhere_are_refused_by_name(name: str, target: str, tree: Tree) -> None:
    root = tree({"x": "1"})
    (root / name).symlink_to(target)
    assert f"{name} is a link to {target}, which cannot be followed" in refused(root).message


def test_a_loop_of_directories_is_refused_and_ends(tree: Tree) -> None:
    root = tree({"a/x": "1", "c/y": "1"})
    (root / "a" / "up").symlink_to("..")
    (root / "a" / "c").symlink_to("../c")
    (root / "c" / "a").symlink_to("../a")
    error = refused(root)
    assert "a/up is a link to a directory above it" in error.detail
    assert "a/c/a is a link to a directory above it" in error.detail


def test_links_that_fan_out_end(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvserve.model.walk._MAX_NAMES", 1000)
    root = tree({"d19/x": "1"})
    for level in range(19):
        (root / f"d{level}").mkdir()
        for link in "ab":
            (root / f"d{level}" / link).symlink_to(f"../d{level + 1}")
    assert "names more than 1000" in refused(root).message


def test_special_files_are_refused_by_name(tree: Tree) -> None:
    root = tree({"x": "1"})
    os.mkfifo(root / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(root / "sock"))
    server.close()
    (root / "device").symlink_to("/dev/null")
    detail = refused(root).detail
    assert "pipe is a FIFO" in detail
    assert "sock is a socket" in detail
    assert "device is a link that leaves" in detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device nodes; the other kinds are tested above")
def test_a_device_is_refused_by_name(tree: Tree) -> None:
    root = tree({"x": "1"})
    os.mknod(root / "null", 0o600 | 0o020000, os.makedev(1, 3))
    assert "null is a character device" in refused(root).message


@contextlib.contextmanager
def powerless() -> Iterator[None]:
    """Not root, for as long as it takes: root reads everything."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_unreadable_files_and_directories_are_refused_by_name(tree: Tree, tmp_path: Path) -> None:
    root = tree({"ok": "1", "secret": "1", "closed/x": "1"})
    (root / "secret").chmod(0)
    (root / "closed").chmod(0)
    shared = Path(tempfile.gettempdir())
    for directory in (tmp_path, *tmp_path.parents):
        if shared in directory.parents:
            directory.chmod(0o755)
    with powerless():
        error = refused(root)
    assert error.detail.splitlines() == [
        "closed cannot be listed: Permission denied",
        "secret cannot be read: Permission denied",
    ]
    root.chmod(0)
    with powerless():
        assert refused(root).reason == "UnreadableDirectory"
    root.chmod(0o755)
    (root / "closed").chmod(0o755)


def test_every_fault_is_named_at_once(tree: Tree) -> None:
    root = tree({"x": "1"})
    for number in range(60):
        (root / f"l{number:02}").symlink_to("/etc/passwd")
    error = refused(root)
    assert "and 59 more" in error.message
    assert len(error.detail.splitlines()) == 50


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nothing", "NoSuchDirectory"), ("file", "NotADirectory"), ("", "NoSuchDirectory"), ("nul\0", "NoSuchDirectory")],
)
def test_what_is_no_directory(name: str, reason: str, tree: Tree) -> None:
    root = tree({"file": "1"})
    with pytest.raises(UsageError) as caught:
        listing(str(root / name) if name else "")
    assert caught.value.reason == reason


def test_an_empty_directory(tree: Tree) -> None:
    root = tree({})
    (root / "sub").mkdir()
    assert refused(root).reason == "EmptyDirectory"


def test_a_directory_of_which_nothing_is_left(tree: Tree) -> None:
    error = refused(tree({".git/config": "", "a.lock": ""}))
    assert (error.reason, error.detail) == ("EmptyDirectory", ".git/\na.lock")


def test_what_is_left_out_by_default_is_reported(tree: Tree) -> None:
    root = tree(
        {
            "x": "1", ".git/config": "", "sub/.git": "", "a.lock": "", "sub/b.lock": "", ".cache/huggingface/d/x": "",
            ".cache/other": "", ".gitattributes": "", ".pvserve/x": "", "sub/keep": "", "lock": "",
        }
    )  # fmt: skip
    (root / ".git" / "pipe").unlink(missing_ok=True)
    os.mkfifo(root / ".git" / "pipe")  # what is left out is not judged
    found = listing(root)
    assert paths(found) == [".cache/other", ".gitattributes", "lock", "sub/keep", "x"]
    assert found.left_out == (".cache/huggingface/", ".git/", ".pvserve/", "a.lock", "sub/.git", "sub/b.lock")


FILES = {"model.safetensors": "", "config.json": "", "original/params.json": "", "original/c.pth": "", "a.lock": ""}


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], ["config.json", "model.safetensors", "original/c.pth", "original/params.json"]),
        (["*.json"], [], ["config.json", "original/params.json"]),
        (["*.json"], ["original/*"], ["config.json"]),
        ([], ["original"], ["config.json", "model.safetensors"]),
        ([], ["original/"], ["config.json", "model.safetensors"]),
        (["original"], [], ["original/c.pth", "original/params.json"]),
        (["original/"], ["*.pth"], ["original/params.json"]),
        (["*", "*.lock"], ["original"], ["a.lock", "config.json", "model.safetensors"]),
        (["*"], ["*.pth", "*.lock"], ["config.json", "model.safetensors", "original/params.json"]),
        (["[mc]*"], [], ["config.json", "model.safetensors"]),
    ],
)
def test_patterns(include: list[str], exclude: list[str], expected: list[str], tree: Tree) -> None:
    found = listing(tree(FILES), include=include, exclude=exclude)
    assert paths(found) == expected
    assert (found.include, found.exclude) == (tuple(include), tuple(exclude))
    assert found.notes == ()


def test_a_pattern_that_matches_nothing_is_mentioned(tree: Tree) -> None:
    found = listing(tree(FILES), include=["*.json", "*.safetensor"], exclude=["orignal/*"])
    assert found.notes == ("the pattern *.safetensor matches no file", "the pattern orignal/* matches no file")


def test_a_bad_file_can_be_excluded(tree: Tree) -> None:
    root = tree({"x": "1"})
    (root / "leak").symlink_to("/etc/passwd")
    (root / "dead").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    assert paths(listing(root, exclude=["leak", "dead", "pipe"])) == ["x"]
    assert paths(listing(root, include=["x"])) == ["x"]


NAMES = [
    "with space", "-rf", "--", "new\nline", "carriage\rreturn", "tab\there", "back\\slash", "quote'\"", "模型-é-🤗",
    "x" * 255, "é" * 127, "trailing ", ".hidden", "$(id)", "*", "\x1b[31mred", "e\u0301", "a:b",
]  # fmt: skip


def test_odd_names_are_kept(tree: Tree) -> None:
    root = tree({f"d {number}/{name}": name for number, name in enumerate(NAMES)})
    found = listing(root)
    assert {entry.path.split("/")[1] for entry in found.entries} == set(NAMES)
    assert all(Path(entry.real).read_bytes().decode() == entry.path.split("/")[1] for entry in found.entries)


def test_forty_directories_deep(tree: Tree) -> None:
    path = "/".join(f"d{level}" for level in range(40)) + "/file"
    assert paths(listing(tree({path: "1"}))) == [path]


def test_a_name_that_is_not_utf8_is_refused_by_its_bytes(tree: Tree) -> None:
    root = tree({"x": "1"})
    (Path(os.fsdecode(os.fsencode(root) + b"/bad\xe9"))).write_text("1")
    assert '"bad\\xe9" is not valid UTF-8' in refused(root).message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README.md", "readme.md"),
        (unicodedata.normalize("NFC", "modèle"), unicodedata.normalize("NFD", "modèle")),
        ("Straße", "STRASSE"),
    ],
)
def test_names_that_clash_elsewhere_are_refused(one: str, other: str, tree: Tree) -> None:
    error = refused(tree({f"sub/{one}": "1", f"sub/{other}": "2"}))
    assert "clashes with" in error.message
    assert listing(error.subject.rsplit("/sub/", 1)[0], exclude=[f"sub/{other}"]).entries


def test_the_same_name_in_two_directories_is_no_clash(tree: Tree) -> None:
    assert len(listing(tree({"a/README": "1", "b/readme": "2"})).entries) == 2


def test_hard_links_and_sparse_files_are_files(tree: Tree) -> None:
    root = tree({"x": "12"})
    os.link(root / "x", root / "y")
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    found = listing(root)
    assert paths(found) == ["sparse", "x", "y"]
    assert found.entries[1].inode == found.entries[2].inode
    assert found.bytes == (1 << 40) + 4


def test_the_fingerprint_follows_every_change(tree: Tree) -> None:
    root = tree({"x": "12", "y": "1"})
    seen = {listing(root).fingerprint}
    assert listing(root).fingerprint in seen
    (root / "x").write_text("13")
    os.utime(root / "x", ns=(1, 2))
    seen.add(listing(root).fingerprint)
    (root / "x").chmod(0o755)
    seen.add(listing(root).fingerprint)
    (root / "y").unlink()
    seen.add(listing(root).fingerprint)
    (root / "z").write_text("1")
    seen.add(listing(root).fingerprint)
    assert len(seen) == 5


def test_twenty_thousand_files_are_listed_in_seconds(tmp_path: Path) -> None:
    for directory in range(20):
        (tmp_path / f"d{directory}").mkdir()
        for number in range(1000):
            os.close(os.open(tmp_path / f"d{directory}" / f"file-{number}.bin", os.O_CREAT | os.O_WRONLY))
    started = time.process_time()
    found = listing(tmp_path, exclude=["nothing*"])
    assert len(found.entries) == 20_000
    assert time.process_time() - started < 3  # 0.3 s on the machine this was written on


def test_a_file_that_vanishes_while_walking_is_named(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree({"x": "1", "y": "1"})
    real_scandir = os.scandir

    def scandir(path: str) -> object:
        entries = list(real_scandir(path))
        (root / "x").unlink()

        class Scan(list):  # type: ignore[type-arg]
            def __enter__(self) -> object:
                return self

            def __exit__(self, *_: object) -> None:
                return None

        return Scan(entries)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PvserveError, match=re.escape("x cannot be read: No such file")):
        listing(root)
