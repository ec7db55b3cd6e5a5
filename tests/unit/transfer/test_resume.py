"""After a cut, a kill or a new writer: what was acknowledged is not sent again, and only one writer publishes."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
from pathlib import Path

import pytest

from pvserve.errors import DataDiffers, Interrupted, PvserveError, Refused, Temporary
from pvserve.events import Transfer
from pvserve.model import DigestCache, Listing, listing
from pvserve.transfer import Target, channels, engine, inspect, later_epoch, load
from pvserve.transfer.agent.expected import Expected
from pvserve.transfer.agent.journal import journal_lines
from pvserve.transfer.agent.place import Overtaken, Partial, Place
from pvserve.transfer.agent.publish import publish
from pvserve.transfer.ask import key_of, transfer_of
from pvserve.transfer.values import Via
from pvserve.transfer.window import PART

from .conftest import MIB
from .pod import LocalPod, contents, tree


@pytest.fixture
def large(tmp_path: Path) -> Path:
    block = os.urandom(MIB)
    return tree(
        tmp_path / "large",
        {"one.bin": block * 70 + b"1", "two.bin": block * 40, **{f"small/{n}": b"%d" % n for n in range(300)}},
    )


def durable_bytes(claim: Path, found: Listing) -> int:
    """What the partial transfer's journal promises, read by hand."""
    (journal,) = claim.glob(".pvserve/partial/*/*/journal")
    with journal.open("rb") as file:
        lines, _ = journal_lines(file.fileno())
    have: dict[int, set[int]] = {}
    for line in lines[1:]:
        size = found.entries[int(line[1])].size
        cells = range(int(line[2]), int(line[2]) + int(line[3])) if line[0] == "d" else range(-(-size // MIB) or 1)
        have.setdefault(int(line[1]), set()).update(cells)
    return sum(
        min(found.entries[number].size, (cell + 1) * MIB) - cell * MIB
        for number, cells in have.items()
        for cell in cells
    )


@pytest.mark.parametrize("cut_mib", [0, 33, 64, 109])
def test_what_was_acknowledged_is_not_sent_again(
    cut_mib: int, large: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, target = listing(large), Target("granite", "vllm", str(claim))
    monkeypatch.setattr(engine, "GIVE_UP_SECONDS", -1.0)
    pod = LocalPod()
    pod.cut_at = cut_mib * MIB + 60_000  # the agent itself comes first
    with pytest.raises(Temporary) as cut:
        load(found, pod, target, via="exec", epoch=1, cache=cache)
    assert cut.value.reason == "TransferCut"
    assert sorted(os.listdir(claim)) in ([], [".pvserve"])
    durable = durable_bytes(claim, found) if list(claim.glob(".pvserve/partial/*/*/journal")) else 0
    assert durable >= cut_mib * MIB - PART  # the rest was under way
    done = load(found, LocalPod(), target, epoch=2, cache=cache)
    assert done.sent_bytes == found.bytes - durable
    assert contents(claim / "granite") == contents(large)
    assert inspect(LocalPod(), "granite", "full", mount=str(claim)).matches == 302


def test_one_command_outlives_many_cuts(large: Path, claim: Path, cache: DigestCache) -> None:
    pod = LocalPod()
    stream = pod.stream
    cuts = iter([40 * MIB, 10 * MIB, 35 * MIB, 3 * MIB])

    def cutting(argv: list[str]) -> object:
        pod.cut_at = next(cuts, None)
        return stream(argv)

    pod.stream = cutting  # type: ignore[method-assign,assignment]
    done = load(listing(large), pod, Target("granite", "vllm", str(claim)), via="exec", cache=cache)
    assert len(pod.streams) == 5
    assert contents(claim / "granite") == contents(large)
    assert done.sent_bytes <= done.manifest.bytes + 4 * PART


@pytest.mark.parametrize("via", ["exec", "port-forward"])
def test_what_has_worked_before_is_waited_for(
    via: Via, large: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kubelet or an API server that is just starting may say anything; neither is the pod's fault."""
    pod = LocalPod(can_forward=True)
    opened = itertools.count()
    stream, forward = pod.stream, pod.forward

    def hindered(argv: list[str]) -> object:
        number = next(opened)
        pod.cut_at = 10 * MIB if number == 0 else None
        pod.lacks = ("python3",) if number == 1 else ()
        return stream(argv)

    def forwarded(port: int) -> socket.socket:
        number = next(opened)
        made = forward(port)
        if number == 2:
            made.close()
            raise OSError("connection refused")
        if number == 1:  # the first session's data stream, after its control stream
            threading.Timer(0.3, cut, [made.dup()]).start()
        return made

    def cut(end: socket.socket) -> None:
        with end, contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    monkeypatch.setattr(channels, "streams_for", lambda _name: 1)
    pod.stream, pod.forward = hindered, forwarded  # type: ignore[method-assign,assignment]
    done = load(listing(large), pod, Target("granite", "vllm", str(claim)), via=via, cache=cache)
    assert contents(claim / "granite") == contents(large)
    assert done.channel == via


def test_a_stop_is_heard_and_resumed(large: Path, claim: Path, cache: DigestCache) -> None:
    cancel = threading.Event()

    def listen(event: object) -> None:
        if isinstance(event, Transfer) and event.phase == "send":
            cancel.set()

    target = Target("granite", "vllm", str(claim))
    with pytest.raises(Interrupted):
        load(listing(large), LocalPod(), target, cancel=cancel, listen=listen, cache=cache)
    assert not (claim / "granite").exists()
    load(listing(large), LocalPod(), target, epoch=2, cache=cache)
    assert contents(claim / "granite") == contents(large)


def test_a_file_that_changes_while_it_is_read_is_named(large: Path, claim: Path, cache: DigestCache) -> None:
    found = listing(large)
    with (large / "two.bin").open("ab") as file:
        file.write(b"more")
    with pytest.raises(Temporary, match=r"two\.bin changed") as changed:
        load(found, LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert changed.value.reason == "SourceChanged"
    assert sorted(os.listdir(claim)) == [".pvserve"]


def test_a_file_that_is_not_what_hugging_face_published(source: Path, claim: Path, cache: DigestCache) -> None:
    found = listing(source)
    entries = tuple(
        entry._replace(promised_sha256="0" * 64) if entry.path == "exactly" else entry for entry in found.entries
    )
    from dataclasses import replace

    with pytest.raises(DataDiffers, match="exactly is not what Hugging Face published"):
        load(replace(found, entries=entries), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert not (claim / "granite").exists()


def place_at(claim: Path) -> Place:
    return Place(str(claim), "granite", key_of("granite"))


@pytest.mark.parametrize("moment", ["before the check", "after the check"])
@pytest.mark.parametrize("content", ["the same", "another"])
def test_an_older_writer_cannot_publish(
    moment: str, content: str, claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP, another takes over, SIGCONT: also when it stopped between its last check and the rename."""
    place = place_at(claim)
    older = Partial(place, "a" * 16 + "-" + "b" * 16, 1)
    older.open()
    other = "a" * 16 + "-" + ("b" if content == "the same" else "c") * 16

    def take_over() -> None:
        Partial(place_at(claim), other, 2)

    if moment == "before the check":
        take_over()
    else:
        check = Partial.check_ours

        def stopped(self: Partial) -> None:
            check(self)
            take_over()

        monkeypatch.setattr(Partial, "check_ours", stopped)
    expected: dict[int, Expected] = {}
    with pytest.raises(Overtaken):
        publish(place, older, expected, {"manifest.json": b"{}", "SHA256SUMS": b""}, "d" * 64, replace=True)
    assert not (claim / "granite").exists()


def test_an_older_writer_is_told_so(source: Path, claim: Path, cache: DigestCache) -> None:
    found, target = listing(source), Target("granite", "vllm", str(claim))
    Partial(place_at(claim), transfer_of(target, found), 7)
    with pytest.raises(Temporary, match="another writer") as overtaken:
        load(found, LocalPod(), target, epoch=6, cache=cache)
    assert overtaken.value.reason == "Overtaken"
    assert later_epoch(overtaken.value) == 7


def test_an_epoch_that_no_writer_can_have_had_is_not_believed(source: Path, claim: Path, cache: DigestCache) -> None:
    """Who may write to the claim could else drive the Lease to its end."""
    found, target = listing(source), Target("granite", "vllm", str(claim))
    (claim / ".pvserve/partial" / transfer_of(target, found) / "999999999999").mkdir(parents=True)
    with pytest.raises(Temporary, match="another writer") as overtaken:
        load(found, LocalPod(), target, epoch=10**9 + 1, cache=cache)
    assert later_epoch(overtaken.value) == 0
    assert "gc vllm --older-than 0" in overtaken.value.remedy[-1]


def test_other_content_is_refused_then_replaced_and_kept(source: Path, claim: Path, cache: DigestCache) -> None:
    target = Target("granite", "vllm", str(claim))
    first = load(listing(source), LocalPod(), target, cache=cache)
    before = contents(claim / "granite")
    (source / "config.json").write_bytes(b'{"new": 1}')
    found = listing(source)
    with pytest.raises(Refused) as refused:
        load(found, LocalPod(), target, epoch=2, cache=cache)
    assert refused.value.reason == "PathOccupied"
    assert contents(claim / "granite") == before
    with (claim / "granite/config.json").open("rb") as held:  # a pod that serves the old content keeps it
        done = load(found, LocalPod(), target, replace=True, epoch=3, cache=cache)
        assert held.read() == b"{}"
    assert contents(claim / "granite") == contents(source)
    assert done.sent_bytes < MIB  # equal files are taken from the version that lies there
    (kept,) = (claim / ".pvserve/replaced/granite").iterdir()
    assert contents(kept) == before
    assert kept.name.endswith(first.manifest_digest.removeprefix("sha256:")[:12])
    inodes = [{path.stat().st_ino for path in root.rglob("*")} for root in (kept, claim / "granite")]
    assert inodes[0].isdisjoint(inodes[1])  # who changes one version in place must not change the other
    assert os.listdir(claim / ".pvserve/partial") == []


def test_equal_files_of_others_get_a_manifest(source: Path, claim: Path, cache: DigestCache) -> None:
    tree(claim / "granite", contents(source))
    done = load(listing(source), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert done.sent_bytes == 0
    assert inspect(LocalPod(), "granite", "full", mount=str(claim)).matches == 6


@pytest.mark.parametrize("planted", ["fifo", "link"])
def test_what_is_more_than_the_source_is_not_adopted(
    planted: str, source: Path, claim: Path, cache: DigestCache
) -> None:
    tree(claim / "granite", contents(source))
    if planted == "fifo":
        os.mkfifo(claim / "granite/more")
    else:
        (claim / "granite/more").symlink_to("/etc/passwd")
    with pytest.raises(Refused) as refused:
        load(listing(source), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert refused.value.reason == "PathOccupied"


@pytest.mark.parametrize("cold", [False, True])
def test_a_damaged_directory_is_put_right_without_replace(
    cold: bool, source: Path, claim: Path, cache: DigestCache, tmp_path: Path
) -> None:
    target = Target("granite", "vllm", str(claim))
    load(listing(source), LocalPod(), target, cache=cache)
    (claim / "granite/config.json").unlink()
    os.truncate(claim / "granite/model.safetensors", 1000)
    done = load(listing(source), LocalPod(), target, epoch=2, cache=DigestCache(tmp_path / "cold") if cold else cache)
    assert contents(claim / "granite") == contents(source)
    assert 9 * MIB < done.sent_bytes < 10 * MIB


def test_an_empty_directory_is_in_nobodys_way(source: Path, claim: Path, cache: DigestCache) -> None:
    (claim / "granite").mkdir()
    load(listing(source), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert contents(claim / "granite") == contents(source)


def test_a_file_in_the_way_is_refused(source: Path, claim: Path, cache: DigestCache) -> None:
    (claim / "granite").write_bytes(b"file")
    with pytest.raises(PvserveError) as refused:
        load(listing(source), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert refused.value.reason == "PathOccupied"
