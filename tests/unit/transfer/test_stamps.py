"""What pvserve published is known again without reading it, and only as long as nobody touched it."""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pvserve.errors import DataDiffers, Refused
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, copy, load
from pvserve.transfer.agent.copier import Copier
from pvserve.transfer.agent.expected import Expected
from pvserve.transfer.agent.frames import GOOD
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.agent.receiver import Receiver
from pvserve.transfer.agent.source import Origin, Source
from pvserve.transfer.agent.stamps import HEAD, TICK_NS, identity_of, stamped, stamps_below, tick_ns

from .conftest import MIB
from .pod import LocalPod, contents, tree

NOW = 1_700_000_000_123_456_789


@pytest.fixture
def loaded(tmp_path: Path, claim: Path, cache: DigestCache) -> Path:
    """A model of a large and a small file that pvserve loaded to `models/granite`."""
    model = tree(tmp_path / "source", {"large.data": os.urandom(MIB) * 3, "sub/config.json": b"{}"})
    load(listing(model), LocalPod(), Target("models/granite", "workbench", str(claim)), cache=cache)
    return claim / "models/granite"


def stamps_of(claim: Path) -> Path:
    (found,) = claim.glob(".pvserve/models/models%2Fgranite/*/stamps")
    return found


def forged(claim: Path) -> None:
    """Stamps that tell the wrong digests, well-formed."""
    head, *lines = stamps_of(claim).read_bytes().splitlines()
    texts = [re.sub(rb"[0-9a-f]{64} .*", b"0" * 64, line) for line in lines]
    stamps_of(claim).write_bytes(b"\n".join([head, *(b"%s %08x" % (text, zlib.crc32(text)) for text in texts)]))


def copied(claim: Path, tmp_path: Path, path: str = "models/granite", **terms: object):  # type: ignore[no-untyped-def]
    """A copy by a client that knows no digests."""
    source, target = Target(path, "workbench", str(claim)), Target("copy", "vllm", str(tmp_path / "other"))
    (tmp_path / "other").mkdir(exist_ok=True)
    return copy(source, LocalPod(), target, cache=DigestCache(tmp_path / "nothing"), **terms)  # type: ignore[arg-type]


def test_every_published_file_has_a_stamp(loaded: Path, claim: Path) -> None:
    found = stamps_below(os.open(claim, os.O_RDONLY), "models/granite")
    files = [path for path in loaded.rglob("*") if path.is_file()]
    assert set(found) == {identity_of(path.stat()) for path in files}


@pytest.mark.parametrize(("path", "known"), [("", 2), ("models", 2), ("models/granite/sub", 2), ("models/other", 0)])
def test_stamps_are_found_above_and_below(path: str, known: int, loaded: Path, claim: Path) -> None:
    assert len(stamps_below(os.open(claim, os.O_RDONLY), path)) == known


@pytest.mark.parametrize("checksum", [False, True])
def test_a_source_that_is_not_what_its_stamps_say_is_named(
    checksum: bool, loaded: Path, claim: Path, tmp_path: Path
) -> None:
    """As when it rotted; without --checksum by small files, whose copies are digested."""
    forged(claim)
    with pytest.raises(DataDiffers, match=r"is not what was loaded to pvc://workbench/models/granite") as rotted:
        copied(claim, tmp_path, checksum=checksum)
    assert rotted.value.reason == "SourceDamaged"
    assert os.listdir(tmp_path / "other") == [".pvserve"]


def test_what_somebody_else_put_there_is_described_and_gets_no_stamps(
    tmp_path: Path, claim: Path, cache: DigestCache
) -> None:
    """Who wrote it may have its files open: a stamp would be believed of what is still being written."""
    files = {"config.json": b"{}", "weights.data": b"x" * 5000}
    model = tree(tmp_path / "source", files)
    tree(claim / "models/granite", files)
    done = load(listing(model), LocalPod(), Target("models/granite", "workbench", str(claim)), cache=cache)
    assert done.sent_bytes == 0
    assert len(list(claim.glob(".pvserve/models/models%2Fgranite/*/manifest.json"))) == 1
    assert list(claim.glob(".pvserve/models/models%2Fgranite/*/stamps")) == []


def test_checksum_reads_every_byte_again(loaded: Path, claim: Path, tmp_path: Path) -> None:
    stamps_of(claim).unlink()
    done = copied(claim, tmp_path, checksum=True)
    assert done.sent_bytes == done.manifest.bytes
    assert contents(tmp_path / "other/copy") == contents(loaded)


def rewritten(path: Path) -> None:
    info = path.stat()
    with path.open("r+b") as file:
        file.write(b"?")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def replaced(path: Path) -> None:
    data, info = path.read_bytes(), path.stat()
    path.unlink()
    path.write_bytes(data)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@pytest.mark.parametrize("touch", [rewritten, replaced, lambda path: os.utime(path), lambda path: path.chmod(0o600)])
def test_a_file_that_was_touched_is_not_believed(
    touch: Callable[[Path], None], loaded: Path, claim: Path, tmp_path: Path
) -> None:
    forged(claim)
    touch(loaded / "large.data")
    done = copied(claim, tmp_path, exclude=["sub"])
    assert done.sent_bytes == done.manifest.bytes  # by its own digest, not by the forged one
    assert contents(tmp_path / "other/copy")["large.data"] == (loaded / "large.data").read_bytes()


@pytest.mark.parametrize("damage", [b"", b"pvserve-stamps 2\n", HEAD + b"\n1 2 3 4 x 00000000\n\xff\n", b"\0" * 99])
def test_stamps_that_are_none_only_cost_time(damage: bytes, loaded: Path, claim: Path, tmp_path: Path) -> None:
    stamps_of(claim).write_bytes(damage)
    assert stamps_below(os.open(claim, os.O_RDONLY), "") == {}
    assert copied(claim, tmp_path).manifest.bytes == 3 * MIB + 2


def test_only_files_at_rest_get_stamps() -> None:
    second = NOW - NOW % 1_000_000_000
    files = {
        (1, 5, NOW - TICK_NS, NOW - TICK_NS): "a" * 64,
        (2, 5, NOW - 1000, NOW - 1000): "b" * 64,  # waited for
        (3, 5, NOW + 10**9, NOW): "c" * 64,  # of the future
        (4, 5, second - 10**9, second): "d" * 64,  # of a file system that counts seconds
    }
    began = time.monotonic()
    text = stamped({key: files[key] for key in list(files)[:2]}, NOW)
    assert TICK_NS * 0.9 < (time.monotonic() - began) * 1e9 < 50 * TICK_NS
    assert [line.split()[0] for line in text.splitlines()[1:]] == [b"1", b"2"]
    assert [line.split()[0] for line in stamped(files, NOW).splitlines()[1:]] == [b"1"]


def test_the_clock_of_file_times_is_this_kernels_only_where_the_file_system_is(tmp_path: Path) -> None:
    assert tick_ns(local=False) == TICK_NS
    assert 0 < tick_ns(local=True) <= TICK_NS
    written = set()
    began = time.monotonic_ns()
    while time.monotonic_ns() - began <= tick_ns(local=True):
        (tmp_path / "file").write_bytes(b"")
        written.add((tmp_path / "file").stat().st_mtime_ns)
    assert len(written) > 1


class Told:
    def __init__(self) -> None:
        self.frames: list[int] = []
        self.errors: list[BaseException] = []

    def tell(self, kind: int, payload: bytes, number: int = 0, offset: int = 0) -> None:
        self.frames.append(kind)


def test_blocks_are_shared_without_reading_where_the_digest_is_known(
    tmp_path: Path, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an ioctl that shares, which not every machine's file system has (tests/faults has a real one)."""
    model = tree(tmp_path / "w", {"one": b"1" * 10, "two": b""})
    files: dict[int, Expected] = {}
    origins: dict[int, Origin] = {}
    for number, name in enumerate(("one", "two")):
        info = (model / name).stat()
        files[number] = Expected(number, name, info.st_size, False, "ab" * 32)
        origins[number] = Origin(name, name, (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))
    partial = Partial(Place(str(claim), "granite", "granite"), "a" * 16 + "-" + "b" * 16, 1)
    partial.open()
    told = Told()
    receiver = Receiver(partial, files, told.tell, told.errors.append)
    copier = Copier(Source(str(model), ""), origins, receiver, told.tell, told.errors.append)
    monkeypatch.setattr(
        "pvserve.transfer.agent.copier.fcntl.ioctl", lambda handle, _, source: os.write(handle, os.read(source, 99))
    )
    copier.add([0, 1], True, known=True)
    deadline = time.monotonic() + 10
    while not told.frames and not told.errors and time.monotonic() < deadline:
        time.sleep(0.01)
    receiver.stop()
    assert (told.frames, told.errors) == ([GOOD], [])
    assert {file.verified for file in files.values()} == {"ab" * 32}


@pytest.mark.parametrize("broken", ["cut", "index", "whole"])
def test_weights_are_checked_before_a_copy(broken: str, tmp_path: Path, claim: Path) -> None:
    """As before a load, through the agent."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [200_000], "data_offsets": [0, 200_000]}}).encode()
    body = len(header).to_bytes(8, "little") + header + b"1" * 200_000
    index = json.dumps(
        {"weight_map": {"w": "model-00001-of-00002.safetensors", "v": "model-00002-of-00002.safetensors"}}
    )
    files = {"model-00001-of-00002.safetensors": body, "model-00002-of-00002.safetensors": body}
    if broken == "cut":
        files["model-00002-of-00002.safetensors"] = body[:-1]
    elif broken == "index":
        files["model.safetensors.index.json"] = index.encode()
    tree(claim / "models/granite", files)
    if broken == "whole":
        assert copied(claim, tmp_path).manifest.bytes == 2 * len(body)
        return
    with pytest.raises(Refused, match="model-00002-of-00002") as refused:
        copied(claim, tmp_path)
    assert refused.value.reason == {"cut": "SafetensorsDamaged", "index": "TensorMissing"}[broken]
    assert os.listdir(tmp_path / "other") == []
