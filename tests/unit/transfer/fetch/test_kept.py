"""What came is compared with what the volume gives back; without TLS it is read past http.client.

Aspects: a volume that damages once, and always · nobody waits for a buffer for ever · plain http, cut and silent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pvserve.errors import DataDiffers, Temporary
from pvserve.transfer.agent import cells
from pvserve.transfer.agent.fetch import fetching, patience, web
from pvserve.transfer.agent.fetch.kept import Kept
from pvserve.transfer.agent.fetch.work import Stopped

from .conftest import MIB, Kind
from .shop import KEY, SECRET, Handler, Shop
from .test_conformance import half_an_answer

Make = Callable[[str], Kind]
IN_PARTS = '"' + "0" * 32 + '-2"'  # an ETag that is no digest


@pytest.fixture
def undigested(make: Make) -> Kind:
    """An object of which S3 publishes no digest."""
    kind = make("s3")
    kind.shop.checksums = False
    kind.stock({"large": os.urandom(21 * MIB + 5)})
    kind.shop.tags["granite/large"] = IN_PARTS
    return kind


def damaging(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """The volume changes a byte of what it was told to keep, so many times."""
    left, make_durable = [times], cells.Cells._make_durable

    def damaged(self: cells.Cells, file: cells.Large, handle: int, found: list[int]) -> None:
        make_durable(self, file, handle, found)
        if left[0] and 3 in found:
            left[0] -= 1
            at = 3 * MIB + 77
            os.pwrite(handle, bytes([os.pread(handle, 1, at)[0] ^ 1]), at)

    monkeypatch.setattr(cells.Cells, "_make_durable", damaged)
    return left


def test_what_a_volume_gives_back_otherwise_is_fetched_again(undigested: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    left = damaging(monkeypatch, 1)
    undigested.check({"large": undigested.shop.files["granite/large"]}, undigested.load())
    assert left == [0]


def test_a_volume_that_always_damages_is_called_what_it_is(undigested: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    damaging(monkeypatch, 10**6)
    with pytest.raises(DataDiffers) as corrupt:
        undigested.load()
    assert corrupt.value.reason == "VolumeCorrupts"
    assert f"from byte {3 * MIB} on" in corrupt.value.message
    assert not (undigested.claim / "models").exists()


def test_a_volume_is_not_taken_for_a_source_that_lies(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = make("s3")  # which publishes a sha256
    kind.stock({"large": os.urandom(5 * MIB)})
    damaging(monkeypatch, 10**6)
    with pytest.raises(DataDiffers) as corrupt:
        kind.load()
    assert corrupt.value.reason == "VolumeCorrupts"


def test_the_fewest_buffers_are_enough(undigested: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BUFFERS", fetching.CONNECTIONS + 1)
    undigested.shop.ranges = False
    undigested.check({"large": undigested.shop.files["granite/large"]}, undigested.load())


def test_whoever_waits_for_a_buffer_hears_of_the_end() -> None:
    over = [False]
    kept = Kept(1, lambda: over[0], lambda: None)
    kept.take()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(Stopped):
            kept.take()
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    over[0] = True
    kept.stop()
    thread.join(10)
    assert ended.is_set()


@pytest.fixture
def plain(tmp_path: Path) -> Kind:
    """An S3 server without TLS, as gateways within a cluster often are."""
    claim, secret = tmp_path / "claim", tmp_path / "secret"
    claim.mkdir(mode=0o775)
    secret.mkdir()
    (secret / "AWS_ACCESS_KEY_ID").write_text(KEY)
    (secret / "AWS_SECRET_ACCESS_KEY").write_text(SECRET)
    return Kind("s3", Shop(), claim, secret)


def test_plain_http_is_read_whole_and_cut_answers_again(plain: Kind) -> None:
    files = plain.stock({"large": os.urandom(21 * MIB + 5), "middle": os.urandom(300_000), "small": b"x" * 9000})
    cuts = [0]

    def cut(handler: Handler, path: str) -> bool:
        cuts[0] += 1
        if not path.endswith("large") or cuts[0] % 2 or handler.command == "HEAD":
            return False
        first, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        data = plain.shop.files["granite/large"]
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}")
        handler.send_header("ETag", plain.shop.tag("granite/large"))
        handler.send_header("Content-Length", str(last - first + 1))
        handler.end_headers()
        handler.wfile.write(data[first : first + (last - first) // 2])
        handler.wfile.flush()
        handler.cut()
        return True

    plain.shop.faults = [cut]
    plain.check(files, plain.load())


def test_plain_http_without_ranges_goes_on_where_it_was_cut(plain: Kind) -> None:
    files = plain.stock({"large": os.urandom(12 * MIB + 5)})
    plain.shop.ranges = False
    cuts = [2]

    def cut(handler: Handler, path: str) -> bool:
        if not path.endswith("large") or handler.command == "HEAD" or not cuts[0]:
            return False
        cuts[0] -= 1
        half_an_answer(handler, files["large"], plain.shop.tag("granite/large"))
        return True

    plain.shop.faults = [cut]
    plain.check(files, plain.load())
    assert cuts == [0]


def test_a_server_that_falls_silent_is_not_waited_for_without_end(plain: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    plain.stock({"large": os.urandom(2 * MIB)})
    monkeypatch.setattr(web, "READ_SECONDS", 1.0)
    monkeypatch.setattr(patience, "FETCHING_SECONDS", 0.5)
    over = threading.Event()

    def silent(handler: Handler, path: str) -> bool:
        if not path.endswith("large") or handler.command == "HEAD":
            return False
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{2 * MIB - 1}/{2 * MIB}")
        handler.send_header("Content-Length", str(2 * MIB))
        handler.send_header("ETag", plain.shop.tag("granite/large"))
        handler.end_headers()
        handler.wfile.flush()
        over.wait(30)
        return True

    plain.shop.faults = [silent]
    try:
        with pytest.raises(Temporary) as gone:
            plain.load()
    finally:
        over.set()
    assert "did not answer in time" in gone.value.message
