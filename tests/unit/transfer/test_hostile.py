"""What others planted on the volume, and a pod that lies: named, bounded, and never followed."""

from __future__ import annotations

import contextlib
import json
import os
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvserve.errors import DataDiffers, PvserveError
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, engine, inspect, load, shell
from pvserve.transfer.agent.frames import (
    BAD,
    CELL,
    CHECKED,
    DONE,
    DURABLE,
    FAIL,
    GOOD,
    HAVE,
    HEADER,
    HELLO,
    READY,
    SEEN,
    STATE,
    SURVEYED,
    TEXT,
    VERSION,
    Broken,
)  # fmt: skip
from pvserve.transfer.agent.place import Place
from pvserve.transfer.agent.volume import Unsafe
from pvserve.transfer.ask import transfer_of

from .conftest import MIB
from .pod import LocalPod, contents, tree


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "GIVE_UP_SECONDS", -1.0)


@pytest.mark.parametrize("name", [".pvserve", ".pvserve/models", ".pvserve/partial", "team", "team/granite"])
def test_a_planted_link_is_not_followed(
    name: str, source: Path, claim: Path, cache: DigestCache, tmp_path: Path
) -> None:
    outside = tree(tmp_path / "outside", {"precious": b"1"})
    (claim / name).parent.mkdir(parents=True, exist_ok=True)
    (claim / name).symlink_to(outside)
    target = Target("team/granite", "vllm", str(claim))
    if name == "team/granite":  # a link at the path itself is replaced, and nothing behind it touched
        load(listing(source), LocalPod(), target, replace=True, cache=cache)
        assert contents(claim / name) == contents(source)
    else:
        with pytest.raises(PvserveError) as unsafe:
            load(listing(source), LocalPod(), target, replace=True, cache=cache)
        assert unsafe.value.reason == "VolumeUnsafe"
    assert contents(outside) == {"precious": b"1"}


@pytest.mark.parametrize("kind", ["link to a file", "link to a directory", "hard link", "fifo", "directory"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "sub"])
def test_what_was_planted_in_the_partial_transfer(
    kind: str, name: str, source: Path, claim: Path, cache: DigestCache, tmp_path: Path
) -> None:
    """It is replaced or refused; what it points to stays as it is."""
    outside = tree(tmp_path / "outside", {"precious": b"1", "directory/precious": b"2"})
    found, target = listing(source), Target("granite", "vllm", str(claim))
    files = claim / ".pvserve/partial" / transfer_of(target, found) / f"{1:012d}/files"
    files.mkdir(parents=True)
    if kind == "link to a file":
        (files / name).symlink_to(outside / "precious")
    elif kind == "link to a directory":
        (files / name).symlink_to(outside / "directory")
    elif kind == "hard link":
        os.link(outside / "precious", files / name)
    elif kind == "fifo":
        os.mkfifo(files / name)
    else:
        tree(files / name, {"planted": b"x"})
    refused = ""
    try:
        load(found, LocalPod(), target, cache=cache)
    except PvserveError as error:
        refused = error.reason
    if refused:
        assert refused in ("VolumeUnsafe", "AgentFailed", "VolumeCorrupts")
        assert not (claim / "granite").exists()
    else:
        assert contents(claim / "granite") == contents(source)
        assert not any(path.is_symlink() or path.is_fifo() for path in (claim / "granite").rglob("*"))
    assert contents(outside) == {"precious": b"1", "directory/precious": b"2"}


@pytest.mark.parametrize(
    "path", ["", ".", "..", "../x", "/etc", "a/../../b", "a//b", ".pvserve", ".pvserve/models", "a\0"]
)
def test_the_agent_takes_no_path_that_leads_elsewhere(path: str, claim: Path) -> None:
    with pytest.raises((Unsafe, ValueError)):
        Place(str(claim), path, "key")


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "../x", "/"])
def test_the_agent_takes_no_key_that_leads_elsewhere(key: str, claim: Path) -> None:
    with pytest.raises(Unsafe):
        Place(str(claim), "granite", key)


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped", "sub/../../escaped"])
def test_the_agent_writes_no_file_outside(name: str, source: Path, claim: Path, cache: DigestCache) -> None:
    """Even if the sender were wrong: the listing's own check is not the only one."""
    found = listing(source)
    entries = tuple(entry._replace(path=name) if entry.path == "exactly" else entry for entry in found.entries)
    from dataclasses import replace

    with pytest.raises(PvserveError) as unsafe:
        load(replace(found, entries=entries), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert unsafe.value.reason == "VolumeUnsafe"
    assert [path.name for path in claim.parent.rglob("escaped")] == []
    assert not os.path.exists("/tmp/escaped")


@pytest.mark.parametrize("damage", ["garbage", "empty", "other digest", "newer", "huge path"])
def test_a_manifest_that_others_changed_is_not_believed(
    damage: str, source: Path, claim: Path, cache: DigestCache
) -> None:
    load(listing(source), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    (manifest,) = claim.glob(".pvserve/models/granite/*/manifest.json")
    text = manifest.read_text()
    statement = json.loads(text)
    if damage == "other digest":
        statement["predicate"]["resources"][0]["digest"] = "0" * 64
    elif damage == "newer":
        statement["predicate"]["pvserve"]["formatVersion"] = 99
    elif damage == "huge path":
        statement["predicate"]["resources"][0]["name"] = "../" * 2000
    manifest.write_text({"garbage": "\x1b[2J{", "empty": ""}.get(damage) or json.dumps(statement))
    if damage == "empty":
        manifest.write_text("")
    with pytest.raises(PvserveError) as error:
        inspect(LocalPod(), "granite", "full", mount=str(claim))
    assert error.value.reason == ("ManifestTooNew" if damage == "newer" else "ManifestDamaged")
    assert printable(error.value)


def printable(error: PvserveError) -> bool:
    text = "".join((error.message, error.subject, error.detail, *error.remedy))
    return all(character.isprintable() or unicodedata.category(character) == "Zs" for character in text)


class Liar:
    """A pod whose "agent" says what the test wants, whatever it is told."""

    address = None

    def __init__(self, answer: bytes, endless: bytes = b"") -> None:
        self._answer = answer
        self._endless = endless
        self._left, self._more = answer, endless
        self.returncode: int | None = None
        self.read_bytes = 0

    def run(self, argv: Any, stdin: bytes = b"", timeout: float = 30) -> Any:
        raise AssertionError("only the exec channel is used")

    def forward(self, port: int) -> Any:
        raise AssertionError("only the exec channel is used")

    def stream(self, argv: Any) -> Liar:
        self._left, self._more = self._answer, self._endless
        return self

    def write(self, data: bytes) -> None:
        pass

    def close_stdin(self) -> None:
        pass

    def close(self) -> None:
        self._more = b""

    def read(self, timeout: float | None = None) -> tuple[int, bytes] | None:
        piece, self._left = self._left[: 1 << 16], self._left[1 << 16 :]
        if not piece:
            piece = self._more
        self.read_bytes += len(piece)
        return 1, piece


def frame(kind: int, payload: bytes = b"", number: int = 0, offset: int = 0) -> bytes:
    return HEADER.pack(kind, 0, len(payload), number, offset) + payload


def told(kind: int, value: Any) -> bytes:
    return frame(kind, json.dumps(value).encode())


WELCOME = told(HELLO, {"version": VERSION})
SPACE = {"free": 1 << 40, "size": 1 << 41, "block": 4096, "inodes": -1}
NOTHING = told(SURVEYED, {"kind": "nothing", "current": "", "uid": 0, "gids": [], "space": SPACE})
STATED = told(STATE, {"space": SPACE, "held": {"inodes": 0, "bytes": 0}})
ASKED = NOTHING + STATED
BEGUN = STATED + frame(READY)
NASTY = "\x1b]0;owned\x07\x1b[2J\r\n\u202e"

LIES = {
    "nothing": b"",
    "no frames": b"HTTP/1.1 200 OK\r\n\r\n" * 1000,
    "another version": told(HELLO, {"version": 99}),
    "a list for an object": told(HELLO, []),
    "a huge frame": WELCOME + HEADER.pack(SURVEYED, 0, 0xFFFFFFFF, 0, 0),
    "a wrong guard": WELCOME + HEADER.pack(SURVEYED, 1, 0, 0, 0) + bytes(32),
    "no space": WELCOME + told(SURVEYED, {"kind": "nothing"}),
    "nonsense": WELCOME + told(SURVEYED, [1, 2, 3]),
    "deep": WELCOME + frame(SURVEYED, b"[" * 200_000),
    "huge numbers": WELCOME + frame(SURVEYED, b'{"kind":"nothing","current":"","uid":1e999,"gids":[],"space":{}}'),
    "nothing held": WELCOME + NOTHING + told(STATE, {"space": SPACE}) + frame(READY),
    "a state of text": WELCOME + NOTHING + told(STATE, {"space": NASTY}) + frame(READY),
    "files that nobody sent": WELCOME + ASKED + told(HAVE, [[99, "v", "0" * 64]]),
    "a file number of text": WELCOME + ASKED + told(HAVE, [[NASTY, "v", ""]]),
    "rows of nothing": WELCOME + ASKED + told(HAVE, [[], None]) + frame(READY),
    "runs of text": WELCOME + ASKED + told(HAVE, [[2, "d", [[NASTY, 1]]]]) + frame(READY),
    "runs beyond": WELCOME + ASKED + told(HAVE, [[3, "d", [[0, 1 << 60]]]]) + frame(READY),
    "no digest": WELCOME + ASKED + told(HAVE, [[0, "v", NASTY]]) + frame(READY),
    "good but odd": WELCOME + NOTHING + BEGUN + frame(GOOD, b"xxx", 1),
    "a file beyond": WELCOME + NOTHING + BEGUN + frame(GOOD, CHECKED.pack(99, bytes(32)), 1),
    "odd cells": WELCOME + NOTHING + BEGUN + frame(DURABLE, b"abc", 0),
    "done too early": WELCOME + NOTHING + BEGUN + told(DONE, {}),
    "bad for ever": WELCOME + NOTHING + BEGUN + frame(BAD, NASTY.encode(), 0) * 50,
    "a nasty failure": WELCOME + ASKED + told(FAIL, {"code": NASTY, "text": NASTY * 9000, "path": NASTY}),
    "a failure of lists": WELCOME + NOTHING + BEGUN + told(FAIL, [NASTY]),
    "a full volume": WELCOME + ASKED + told(FAIL, {"errno": 28, "path": NASTY, "space": {"free": NASTY}}),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_agent_ends_the_load_with_a_clean_error(
    lie: str, source: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with pytest.raises(PvserveError) as error:
        load(listing(source), Liar(LIES[lie]), Target("granite", "vllm", str(claim)), via="exec", cache=cache)
    assert printable(error.value)
    assert len(error.value.message) < 2000
    assert time.monotonic() - began < 10


def test_wrong_digests_are_found_again_and_again(source: Path, claim: Path, cache: DigestCache) -> None:
    """Every digest that comes back is wrong: the storage damages data, or the pod lies."""
    wrong = frame(GOOD, CHECKED.pack(0, b"\1" * 32), 1) + frame(BAD, b"", 0)
    pod = Liar(WELCOME + NOTHING + BEGUN + wrong * 10)
    with pytest.raises(DataDiffers) as error:
        load(listing(source), pod, Target("granite", "vllm", str(claim)), via="exec", cache=cache)
    assert error.value.reason == "VolumeCorrupts"


@pytest.mark.parametrize(
    ("piece", "reason"),
    [(frame(TEXT, b"x" * CELL), "endless manifest"), (told(SEEN, [["a", 1, False, "", ""]] * 9000), "endless list")],
)
def test_an_endless_answer_is_cut(piece: bytes, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from pvserve.transfer import looking

    monkeypatch.setattr(looking, "MANIFEST_LIMIT", 16 * MIB)
    monkeypatch.setattr(looking, "ROWS_LIMIT", 100_000)
    pod = Liar(WELCOME, endless=piece)
    with pytest.raises(PvserveError, match=reason):
        inspect(pod, "granite", "list")
    assert pod.read_bytes < 64 * MIB


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([NASTY, "0" * 64]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["kind", "current", "uid", "gids", "space", "free", "version", "code"]), inner
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from([1, 2, 3, 4, 11, 12, 13, 14, 20, 22, 30, 31, 32, 40, 42, 50, 51, 52, 99])
FRAMES = st.builds(told, KINDS, JSON) | st.builds(
    frame, KINDS, st.binary(max_size=100), st.integers(0, 9), st.integers(0, 1 << 40)
)
STAGES = st.sampled_from([b"", WELCOME, WELCOME + NOTHING, WELCOME + NOTHING + BEGUN])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stage=STAGES, lies=st.lists(FRAMES, max_size=6))
def test_whatever_an_agent_answers_the_error_is_clean(stage: bytes, lies: list[bytes], tmp_path: Path) -> None:
    source = tmp_path / "model"
    if not source.exists():
        tree(source, {"a": b"1", "b": b"2" * (2 * MIB)})
    pod = Liar(stage + b"".join(lies))
    with pytest.raises(PvserveError) as error:
        load(listing(source), pod, Target("granite", "vllm"), via="exec", cache=DigestCache(tmp_path / "cache"))
    assert printable(error.value)


SHELL_LINES = st.lists(
    st.sampled_from(
        [
            b"directory",
            b"nothing",
            b"1",
            b"-1",
            b"a" * 64,
            b"x 1 1 1 1% /",
            b"ok",
            b"",
            b"\0",
            NASTY.encode(),
            b"unreadable",
        ]
    )
    | st.binary(max_size=20),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=SHELL_LINES)
def test_whatever_a_shell_answers_the_error_is_clean(lines: list[bytes]) -> None:
    class ShellLiar(Liar):
        def stream(self, argv: Any) -> Liar:
            return Liar(b"\n".join(lines) + b"\nok\n")

    with contextlib.suppress(PvserveError, Broken):
        seen = shell.shell_look(ShellLiar(b""), Target("granite", "vllm"), rows=True, digests=True)
        assert seen.kind in ("nothing", "other", "directory")
