"""A pod that lies about what lies in it: listings (SEEN, LISTED), digests (SOURCED), surveys, as the client reads them.

Whatever comes, it ends in an error that can be shown, in names that lead nowhere, and within bounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvserve.errors import PvserveError
from pvserve.model import DigestCache, Found
from pvserve.model.elsewhere import Told, told_listing
from pvserve.transfer import Target, claim_source, looking
from pvserve.transfer.agent.frames import CHECKED, FAIL, LISTED, PING, SEEN, SOURCED, SURVEYED, TEXT, Broken, Wire
from pvserve.transfer.ask import Ask

from .test_hostile import NASTY, SPACE, frame, told

T = TypeVar("T")
SOURCE = Target("models/granite", "workbench", "/source")
NAMES = st.sampled_from([
    "a", "sub/b", "..", "../x", "sub/../../x", "/etc/passwd", "a//b", "a/", ".", "", "a\0b", "a\nb", NASTY, "\udcff",
    "C:\\x", "x" * 256, "/".join("d" * 90), ".pvserve/x", ".git/config", "A", "a\u0301", "\u00e1",
])  # fmt: skip
NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.sampled_from([0, 1, 5, -1]) | st.booleans() | st.floats()
ANYTHING = st.recursive(
    NUMBERS | st.none() | NAMES | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
STAMPS = st.sampled_from(["", "0" * 64, NASTY])
HONEST = st.tuples(NAMES, st.integers(0, 9), *[st.integers(0, 9)] * 3, st.booleans(), NAMES, st.just(""), STAMPS).map(
    list
)
ROW = HONEST | st.lists(ANYTHING, max_size=10)


def heard(*frames: bytes) -> Wire:
    """A stream on which the pod has said this, and then is gone."""
    left = memoryview(b"".join(frames))

    def read_into(view: memoryview) -> int:
        nonlocal left
        count = min(len(view), len(left))
        view[:count] = left[:count]
        left = left[count:]
        return count

    return Wire(read_into, lambda _data: None, guard=False)


def endless(piece: bytes) -> tuple[Wire, list[int]]:
    """A stream that says the same for ever; how many bytes were read of it."""
    read = [0]

    def read_into(view: memoryview) -> int:
        start = read[0] % len(piece)
        part = piece[start : start + len(view)]
        view[: len(part)] = part
        read[0] += len(part)
        return len(part)

    return Wire(read_into, lambda _data: None, guard=False), read


def ask_for(*entries: Found) -> Ask:
    listing = told_listing([Told(found) for found in entries], str(SOURCE))
    count = len(listing.entries)
    return Ask(listing, Target("granite", "vllm"), "t", 1, False, [""] * count, DigestCache(Path("/nonexistent")), {})


FILES = [Found(name, 1, 0, 0, number, -1, False, f"/source/{name}", "") for number, name in enumerate("abc")]


def cleanly(work: Callable[[], T]) -> T | None:
    """What came of it; None where it ended in an error of ours, whose words can be shown as they are."""
    try:
        return work()
    except Broken:
        return None
    except PvserveError as error:
        lines = [error.message, error.subject, *error.detail.split("\n"), *error.remedy]
    assert [line for line in lines if not line.isprintable()] == []
    return None


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(ROW, max_size=5), ended=st.booleans())
def test_no_name_of_a_listing_leads_elsewhere(rows: list[Any], ended: bool) -> None:
    said = [told(SEEN, rows), frame(LISTED) if ended else b""]
    source = cleanly(lambda: claim_source.list_source(heard(*said), SOURCE, (), ()))
    assert source is None or all(stamp in ("", "0" * 64) for stamp in source.stamped)
    for found in source.listing.entries if source else ():
        assert not found.path.startswith("/")
        assert not {"", ".", ".."} & set(found.path.split("/"))
        assert "\0" not in found.path
        assert found.size >= 0


@settings(max_examples=200, deadline=None)
@given(
    said=st.lists(st.builds(told, st.sampled_from([SEEN, LISTED, SOURCED, FAIL, PING, TEXT, 99]), ANYTHING), max_size=4)
)
def test_whatever_is_said_instead_of_a_listing_the_error_is_clean(said: list[bytes]) -> None:
    cleanly(lambda: claim_source.list_source(heard(*said), SOURCE, (), ()))


@settings(max_examples=200, deadline=None)
@given(
    said=st.lists(
        st.builds(frame, st.just(SOURCED), st.binary(max_size=80), st.integers(0, 9), st.integers(0, 1 << 64 - 1))
        | st.builds(
            lambda numbers: frame(SOURCED, b"".join(CHECKED.pack(number, bytes(32)) for number in numbers)),
            st.lists(st.integers(0, 4) | st.just((1 << 32) - 1), max_size=6),
        )
        | st.builds(told, st.sampled_from([FAIL, SEEN, PING, 99]), ANYTHING),
        max_size=4,
    ),
    ended=st.booleans(),
)
def test_whatever_is_said_of_digests_only_files_that_were_asked_for_get_one(said: list[bytes], ended: bool) -> None:
    ask = ask_for(*FILES)
    wire = heard(*said, frame(LISTED) if ended else b"")
    found = cleanly(lambda: list(claim_source.digest_source(wire, ask, SOURCE)))
    if found is not None:
        assert sorted(number for number, _, _ in found) == [0, 1, 2]
        assert all(len(digest) == 64 for _, digest, _ in found)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(ROW | st.lists(ANYTHING, min_size=5, max_size=5), max_size=4), answer=ANYTHING)
def test_whatever_is_said_of_a_path_what_is_shown_of_it_is_clean(rows: list[Any], answer: Any) -> None:
    honest = {"kind": "directory", "current": "", "uid": 0, "gids": [], "space": SPACE}
    for last in (honest, answer):
        wire = heard(told(SEEN, rows), told(SURVEYED, last))
        seen = cleanly(lambda wire=wire: looking.look(wire, Target("granite", "vllm"), rows=True, digests=True))
        if seen is not None:
            report = looking.report(seen, "full")
            for name in (*report.missing, *report.extra, *report.changed, *report.unreadable):
                assert name.isprintable(), name


def test_a_list_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_source, "ROWS_LIMIT", 10_000)
    wire, read = endless(told(SEEN, [["a", 1, 0, 0, 0, False, "/source/a", "", ""]] * 2000))
    with pytest.raises(Broken, match="endless"):
        claim_source.list_source(wire, SOURCE, (), ())
    assert read[0] < 2 << 20


def test_digests_without_end_are_cut() -> None:
    wire, read = endless(frame(SOURCED, CHECKED.pack(0, bytes(32)) * 100))
    with pytest.raises(Broken, match="digest"):
        list(claim_source.digest_source(wire, ask_for(*FILES), SOURCE))
    assert read[0] < 1 << 20


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_nesting_without_end_is_an_error(deep: bytes) -> None:
    with pytest.raises(Broken):
        claim_source.list_source(heard(frame(SEEN, deep)), SOURCE, (), ())


def test_numbers_that_no_float_holds_are_an_error() -> None:
    rows = json.dumps([["a", 1, 0, 0, 0, False, "/source/a", "", ""]]).replace("1,", "1" * 5000 + ",", 1).encode()
    with pytest.raises(Broken):
        claim_source.list_source(heard(frame(SEEN, rows)), SOURCE, (), ())
