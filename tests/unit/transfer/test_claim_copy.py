"""A copy from claim to claim: the agent lists, copies and digests; the rules are those of every load."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.errors import DataDiffers, Interrupted, PvserveError, Refused, Temporary, UsageError
from pvserve.events import Transfer
from pvserve.model import DigestCache, listing
from pvserve.transfer import NOT_COPIED, Target, copy, engine, inspect, load
from pvserve.transfer.agent.copier import Copier
from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import CHECKED, GOOD, SMALL, SOURCED, Frame
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.agent.receiver import Receiver
from pvserve.transfer.agent.source import Origin, Source, SourceChanged
from pvserve.transfer.session import Session

from .conftest import MIB
from .pod import LocalPod, contents, tree
from .test_resume import durable_bytes


@pytest.fixture
def workbench(tmp_path: Path, source: Path) -> Path:
    """The root of the source's claim, with the model in models/granite."""
    (tmp_path / "workbench/models").mkdir(parents=True)
    return source.rename(tmp_path / "workbench/models/granite").parent.parent


def places(workbench: Path, claim: Path, path: str = "models/granite") -> tuple[Target, Target]:
    return Target(path, "workbench", str(workbench)), Target("team/granite", "vllm", str(claim))


def test_everything_arrives_and_nothing_is_sent(workbench: Path, claim: Path, cache: DigestCache) -> None:
    (workbench / "models/granite/config.json").chmod(0o755)
    source, target = places(workbench, claim)
    pod = LocalPod()
    done = copy(source, pod, target, cache=cache)
    assert contents(claim / "team/granite") == contents(workbench / "models/granite")
    assert (done.channel, done.sent_bytes, done.manifest.source) == ("claim", done.manifest.bytes, str(source))
    assert os.access(claim / "team/granite/config.json", os.X_OK)
    assert [stream.written < MIB for stream in pod.streams] == [True]
    assert inspect(LocalPod(), "team/granite", "full", mount=str(claim)).matches == 6


@pytest.mark.parametrize("known", ["known", "unknown"])
def test_a_second_copy_copies_nothing(
    known: str, workbench: Path, claim: Path, cache: DigestCache, tmp_path: Path
) -> None:
    source, target = places(workbench, claim)
    first = copy(source, LocalPod(), target, cache=cache)
    inodes = {path: path.stat().st_ino for path in claim.rglob("*")}
    again = copy(
        source, LocalPod(), target, cache=cache if known == "known" else DigestCache(tmp_path / "cold"), epoch=2
    )
    assert (again.sent_bytes, again.reused_bytes) == (0, first.manifest.bytes)
    assert again.manifest_digest == first.manifest_digest
    assert {path: path.stat().st_ino for path in claim.rglob("*")} == inodes


def test_a_copy_and_a_load_of_the_same_files_are_the_same(workbench: Path, claim: Path, cache: DigestCache) -> None:
    source, target = places(workbench, claim)
    sent = load(listing(workbench / "models/granite"), LocalPod(), target, cache=cache)
    copied = copy(source, LocalPod(), target, cache=cache, epoch=2)
    assert (copied.sent_bytes, copied.manifest_digest) == (0, sent.manifest_digest)


def test_filters_hold_in_the_pod(workbench: Path, claim: Path, cache: DigestCache) -> None:
    model = tree(workbench / "models/granite", {".git/config": b"x", "a.lock": b"", "sub/.cache/huggingface/x": b"x"})
    os.mkfifo(model / ".git/fifo")  # what is left out is in nobody's way
    source, target = places(workbench, claim)
    done = copy(source, LocalPod(), target, include=["*.json", "sub"], exclude=["sub/dir"], cache=cache)
    assert sorted(contents(claim / "team/granite")) == ["config.json"]
    assert (done.manifest.include, done.manifest.exclude) == (("*.json", "sub"), ("sub/dir",))
    other = Target("all", "vllm", str(claim))
    copy(source, LocalPod(), other, cache=cache)
    left_out = {".git/config", "a.lock", "sub/.cache/huggingface/x"}
    assert contents(claim / "all").keys() == contents(model).keys() - left_out


def test_the_claims_root_is_copied_without_what_is_ours(workbench: Path, claim: Path, cache: DigestCache) -> None:
    tree(workbench, {".pvserve/partial/x": b"x", "config.json": b"{}"})
    copy(places(workbench, claim, "")[0], LocalPod(), Target("all", "vllm", str(claim)), cache=cache)
    assert "config.json" in contents(claim / "all")
    assert not (claim / "all/.pvserve").exists()


@pytest.mark.parametrize("planted", ["link out", "link to a directory out", "fifo", "loop", "broken link", "NFD"])
def test_what_cannot_be_loaded_is_refused_by_name(
    planted: str, workbench: Path, claim: Path, cache: DigestCache, tmp_path: Path
) -> None:
    outside = tree(tmp_path / "outside", {"secret": b"1"})
    tree(workbench, {"models/other/file": b"1"})
    name = workbench / "models/granite/planted"
    if planted == "link out":
        name.symlink_to("../other/file")
    elif planted == "link to a directory out":
        name.symlink_to(outside)
    elif planted == "fifo":
        os.mkfifo(name)
    elif planted == "loop":
        name.symlink_to(".")
    elif planted == "broken link":
        name.symlink_to("nowhere")
    else:
        tree(name.parent, {"e\u0301planted": b"1", "\u00e9planted": b"2"})
    with pytest.raises(Refused, match="planted") as refused:
        copy(places(workbench, claim)[0], LocalPod(), places(workbench, claim)[1], cache=cache)
    assert refused.value.reason == "UnloadableFiles"
    assert os.listdir(claim) == []


def test_links_that_stay_inside_are_followed(workbench: Path, claim: Path, cache: DigestCache) -> None:
    model = workbench / "models/granite"
    (model / "link").symlink_to("sub/dir/tokenizer.json")
    (model / "linked").symlink_to("sub")
    source, target = places(workbench, claim)
    copy(source, LocalPod(), target, cache=cache)
    wanted = contents(model / "sub/dir")["tokenizer.json"]
    assert (claim / "team/granite/link").read_bytes() == wanted
    assert (claim / "team/granite/linked/dir/tokenizer.json").read_bytes() == wanted
    assert not any(path.is_symlink() for path in claim.rglob("*"))


def test_a_hugging_face_snapshot(tmp_path: Path, claim: Path, cache: DigestCache) -> None:
    repository = tree(tmp_path / "hub/models--ibm--granite", {f"blobs/{'0' * 64}": b"weights", "blobs/abc": b"{}"})
    snapshot = repository / "snapshots/5f3d"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    target = Target("granite", "vllm", str(claim))
    path = "models--ibm--granite"
    with pytest.raises(UsageError, match="not a model directory") as which:
        copy(Target(path, "w", str(repository.parent)), LocalPod(), target, cache=cache)
    # Entries below snapshots lead to blobs: of the repository itself they lie inside.
    assert which.value.remedy[1].strip() == f"pvc://w/{path}/snapshots/5f3d"
    source = Target(f"{path}/snapshots/5f3d", "w", str(repository.parent))
    copy(source, LocalPod(), target, cache=cache)
    assert contents(claim / "granite") == {"config.json": b"{}"}
    (snapshot / "model.data").symlink_to(f"../../blobs/{'0' * 64}")
    with pytest.raises(DataDiffers, match="is not what Hugging Face published"):
        copy(source, LocalPod(), target, replace=True, epoch=2, cache=cache)


@pytest.mark.parametrize("path", ["models/gone", "models/granite/config.json"])
def test_a_source_that_is_not_there(path: str, workbench: Path, claim: Path, cache: DigestCache) -> None:
    source, target = places(workbench, claim, path)
    with pytest.raises(Refused, match=f"pvc://workbench/{path} (does not exist|is no directory)") as refused:
        copy(source, LocalPod(), target, cache=cache)
    assert (refused.value.reason, os.listdir(claim)) == ("NoSuchSource", [])


def test_a_path_that_leads_out_of_the_source_claim(workbench: Path, claim: Path, cache: DigestCache) -> None:
    (workbench / "out").symlink_to(tree(workbench.parent / "outside", {"secret": b"1"}))
    with pytest.raises(PvserveError) as unsafe:
        copy(places(workbench, claim, "out")[0], LocalPod(), places(workbench, claim)[1], cache=cache)
    assert unsafe.value.reason == "VolumeUnsafe"
    assert os.listdir(claim) == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_source_that_changes_is_named(
    name: str, workbench: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = engine.check_far_weights

    def touching(*arguments: object) -> None:
        seen(*arguments)  # type: ignore[arg-type]
        with (workbench / "models/granite" / name).open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(engine, "check_far_weights", touching)
    source, target = places(workbench, claim)
    with pytest.raises(Temporary, match=f"{name} changed while it was read") as changed:
        copy(source, LocalPod(), target, cache=cache)
    assert changed.value.reason == "SourceChanged"
    assert sorted(os.listdir(claim)) == [".pvserve"]


def test_a_stop_is_heard_and_resumed(
    tmp_path: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the copy is good comes to the client once it was stopped, not before."""
    model = tree(tmp_path / "w/large", {"one": os.urandom(MIB) * 100 + b"1"})
    source, target = Target("large", "w", str(tmp_path / "w")), Target("granite", "vllm", str(claim))
    cancel = threading.Event()
    hear = Session._hear_digests

    def late(session: Session, frame: Frame) -> None:
        assert cancel.wait(30)
        hear(session, frame)

    monkeypatch.setattr(Session, "_hear_digests", late)

    def listen(event: object) -> None:
        if isinstance(event, Transfer) and event.phase == "send" and event.bytes_done:
            cancel.set()

    with pytest.raises(Interrupted):
        copy(source, LocalPod(), target, cancel=cancel, listen=listen, cache=cache)
    assert not (claim / "granite").exists()
    durable = durable_bytes(claim, listing(model))
    done = copy(source, LocalPod(), target, epoch=2, cache=cache)
    assert contents(claim / "granite") == contents(model)
    assert done.sent_bytes <= done.manifest.bytes - durable + 2 * MIB


def test_another_directory_than_the_one_it_was_taken_for(workbench: Path, claim: Path, cache: DigestCache) -> None:
    source, target = places(workbench, claim)
    model = workbench / "models/granite"
    here = listing(model)
    os.utime(model / "config.json", ns=(1, 1))
    with pytest.raises(Refused) as refused:
        copy(source, LocalPod(), target, same_as=here, cache=cache)
    assert refused.value.reason == "SourceElsewhere"
    assert os.listdir(claim) == []
    copy(source, LocalPod(), target, same_as=listing(model), cache=cache)
    assert contents(claim / "team/granite") == contents(model)


def test_a_directory_that_the_pod_cannot_see_is_another_one(workbench: Path, claim: Path, cache: DigestCache) -> None:
    gone, target = places(workbench, claim, "models/gone")
    with pytest.raises(Refused, match="does not exist") as refused:
        copy(gone, LocalPod(), target, same_as=listing(workbench / "models/granite"), cache=cache)
    assert refused.value.reason in NOT_COPIED


def test_a_pod_without_python_is_refused(workbench: Path, claim: Path, cache: DigestCache, shell_pod: LocalPod) -> None:
    source, target = places(workbench, claim)
    with pytest.raises(Refused) as refused:
        copy(source, shell_pod, target, cache=cache)
    assert refused.value.reason == "CopyNeedsPython"


class Told:
    """What the copying threads tell, gathered until every file is verified."""

    def __init__(self, wanted: int) -> None:
        self.digests: dict[int, dict[int, bytes]] = {GOOD: {}, SOURCED: {}}
        self.errors: list[BaseException] = []
        self.over = threading.Event()
        self._wanted = wanted

    def tell(self, kind: int, payload: bytes, number: int = 0, offset: int = 0) -> None:
        if kind in self.digests:
            self.digests[kind].update(CHECKED.iter_unpack(payload))
        if all(len(found) == self._wanted for found in self.digests.values()):
            self.over.set()

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.over.set()


@pytest.fixture
def cells(tmp_path: Path, claim: Path) -> Iterator[tuple[Copier, Told, Path]]:
    """A copier in this process, for one file of several cells."""
    path = tree(tmp_path / "w", {"one": os.urandom(MIB) * 5 + b"1"}) / "one"
    info = path.stat()
    origin = Origin("one", "one", (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))
    files: dict[int, Expected] = {0: Large(0, "one", info.st_size, False, "")}
    told = Told(1)
    partial = Partial(Place(str(claim), "granite", "granite"), "a" * 16 + "-" + "b" * 16, 1)
    partial.open()
    receiver = Receiver(partial, files, told.tell, told.fail)
    yield Copier(Source(str(path.parent), ""), {0: origin}, receiver, told.tell, told.fail), told, path
    receiver.stop()


@pytest.mark.parametrize("cannot", ["share", "share, nor copy in the kernel", "share, and the kernel copies short"])
def test_where_the_file_system_cannot(
    cannot: str, cells: tuple[Copier, Told, Path], claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copier, told, path = cells
    in_kernel = os.copy_file_range

    def refusing(*_: object) -> int:
        raise OSError(errno.EXDEV, "")

    def short(source: int, target: int, count: int, *offsets: int) -> int:
        return in_kernel(source, target, min(count, 70_000), *offsets)

    monkeypatch.setattr("pvserve.transfer.agent.copier.FICLONE", 0)
    monkeypatch.setattr(copier, "_in_kernel", None)  # as where a server may copy
    if "nor" in cannot:
        monkeypatch.setattr(os, "copy_file_range", refusing)
    elif "short" in cannot:
        monkeypatch.setattr(os, "copy_file_range", short)
    copier.add([0], True, known=False)
    assert told.over.wait(10)
    assert told.errors == []
    assert told.digests[GOOD] == told.digests[SOURCED]
    (copied,) = claim.glob(".pvserve/partial/*/*/files/one")
    assert copied.read_bytes() == path.read_bytes()


def test_files_that_share_no_blocks_after_all_are_copied_each(tmp_path: Path, claim: Path) -> None:
    """One job of large and small ones: the agent said beforehand that it could."""
    model = tree(tmp_path / "w", {"a": b"1" * 5000, "b": os.urandom(MIB) * 3, "c": b"", "d": b"2" * MIB, "e": b"3"})
    files: dict[int, Expected] = {}
    origins: dict[int, Origin] = {}
    for number, path in enumerate(sorted(model.iterdir())):
        info, digest = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()
        kind = Large if info.st_size > SMALL else Expected
        files[number] = kind(number, path.name, info.st_size, False, digest)
        origins[number] = Origin(path.name, path.name, (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))
    told = Told(len(files))
    partial = Partial(Place(str(claim), "granite", "granite"), "a" * 16 + "-" + "b" * 16, 1)
    partial.open()
    receiver = Receiver(partial, files, told.tell, told.fail)
    copier = Copier(Source(str(model), ""), origins, receiver, told.tell, told.fail)
    told.digests.pop(SOURCED)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pvserve.transfer.agent.copier.FICLONE", 0)
        copier.add(list(files), True, known=True)
        assert told.over.wait(10)
    receiver.stop()
    assert (told.errors, set(told.digests[GOOD])) == ([], set(files))
    (copied,) = claim.glob(".pvserve/partial/*/*/files")
    assert contents(copied) == contents(model)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tree(tmp_path, {"one": b"1"}) / "one"
    info = path.stat()
    origin = Origin("one", "one", (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))
    source = Source(str(tmp_path), "")
    with pytest.raises(SourceChanged, match="one"), source.reading(origin):
        path.write_bytes(b"2")
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(SourceChanged, match="one"), source.reading(origin):
        pass
