"""What every source must do, one suite for all: right bytes, resumed, refused, never mixed.

Aspects: a whole load · again · resumed after a cut · servers that break, wait and lie · a source that changes · hostile
names · certificates.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

import pytest

from pvserve.errors import DataDiffers, NotAllowed, PvserveError, Refused, StalePlan, Temporary
from pvserve.transfer.agent import cells
from pvserve.transfer.agent.fetch import fetching, patience, work
from pvserve.transfer.agent.fetch.job import Progress

from .conftest import MIB, Kind
from .shop import Handler

Files = dict[str, bytes]


def largest(files: Files) -> str:
    return max(files, key=lambda name: len(files[name]))


def bytes_of(path: str, files: Files) -> bool:
    """Whether a request is for a file's bytes."""
    if path.startswith("/v2/"):
        return False
    return "/api/" not in path and not path.rstrip("/").endswith("/s3/bucket") and "/resolve/" not in path


def test_a_load_publishes_exactly_the_source(kind: Kind, model: Files) -> None:
    files = kind.stock(model)
    result = kind.load()
    kind.check(files, result)
    assert result["fetched"] == sum(map(len, files.values()))
    assert result["files"] == len(files)


def test_the_same_load_again_fetches_nothing(kind: Kind, model: Files) -> None:
    kind.stock(model)
    first = kind.load()
    kind.shop.seen.clear()
    again = kind.load()
    assert again["unchanged"]
    assert again["manifest"] == first["manifest"]
    assert len(kind.shop.seen) <= 4  # lists, fetches no file


def test_another_content_at_the_path_is_refused_and_with_replace_replaced(kind: Kind, model: Files) -> None:
    files = kind.stock(model)
    kind.load()
    changed = {**files, largest(files): os.urandom(3 * MIB)}
    kind.replace(largest(files), changed[largest(files)])
    with pytest.raises(Refused) as refused:
        kind.load()
    assert refused.value.reason == "PathOccupied"
    assert kind.there() == files
    kind.check(changed, kind.load(replace=True))


def test_nothing_is_fetched_around_another_model(kind: Kind, model: Files) -> None:
    kind.stock(model)
    inner = kind.claim / "models/granite/adapter"
    inner.mkdir(parents=True)
    record = kind.claim / ".pvserve/models/models%2Fgranite%2Fadapter/path"
    record.parent.mkdir(parents=True)
    record.write_text("models/granite/adapter")
    with pytest.raises(Refused) as refused:
        kind.load(replace=True)
    assert refused.value.reason == "PathHoldsModels"
    assert inner.is_dir()


def test_what_is_durable_is_not_fetched_again(kind: Kind, model: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files = kind.stock(model)
    size = len(files[largest(files)])
    monkeypatch.setattr(fetching, "CONNECTIONS", 1)
    monkeypatch.setattr(cells, "FLUSH", 4 * MIB)

    def gone(handler: Handler, path: str) -> bool:
        """The server ends for good after 11 MiB of one file."""
        if bytes_of(path, files) and given[0] > 11 * MIB:
            time.sleep(0.5)  # for the fsync of what came
            handler.error(400)
            return True
        if bytes_of(path, files):
            asked = handler.headers.get("Range", "bytes=0-0").removeprefix("bytes=").split("-")
            given[0] += int(asked[1]) - int(asked[0]) + 1
        return False

    given = [0]
    kind.shop.faults = [gone]
    with pytest.raises(PvserveError):
        kind.load()
    assert not (kind.claim / "models").exists()
    kind.shop.faults = []
    result = kind.load()
    kind.check(files, result)
    assert result["fetched"] <= sum(map(len, files.values())) - 8 * MIB
    assert size > 16 * MIB


def test_a_server_without_ranges_is_read_in_one_piece(kind: Kind, model: Files) -> None:
    files = kind.stock(model)
    kind.shop.ranges = False
    kind.check(files, kind.load())


def test_a_server_without_ranges_is_resumed_at_its_beginning(
    kind: Kind, model: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = kind.stock(model)
    kind.shop.ranges = False
    cuts = [3]

    def cut(handler: Handler, path: str) -> bool:
        name = next((name for name in kind.shop.files if path.endswith(name)), "")
        if not name or len(kind.shop.files[name]) < 4 * MIB or "/resolve/" in path or not cuts[0]:
            return False
        if handler.headers.get("Range") == "bytes=0-0":
            return False
        cuts[0] -= 1
        half_an_answer(handler, kind.shop.files[name], kind.shop.tag(name))
        return True

    kind.shop.faults = [cut]
    kind.check(files, kind.load())
    assert cuts == [0]


def half_an_answer(handler: Handler, data: bytes, tag: str) -> None:
    """All is promised, half is sent, then the connection is reset."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.send_header("ETag", tag)
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    handler.cut()


def test_answers_cut_in_their_middle_are_asked_for_again(kind: Kind, model: Files) -> None:
    files = kind.stock(model)
    cuts = [0]

    def cut(handler: Handler, path: str) -> bool:
        if not bytes_of(path, files) or handler.headers.get("Range") in (None, "bytes=0-0"):
            return False
        cuts[0] += 1
        if cuts[0] % 2:
            return False
        first, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        name = next(name for name in kind.shop.files if path.endswith(name))
        data = kind.shop.files[name]
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}")
        handler.send_header("Content-Length", str(last - first + 1))
        handler.send_header("ETag", kind.shop.tag(name))
        handler.end_headers()
        handler.wfile.write(data[first : first + (last - first) // 2])
        handler.wfile.flush()
        if cuts[0] % 4:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.cut()
        return True

    kind.shop.faults = [cut]
    kind.check(files, kind.load())
    assert cuts[0] > 3


def test_a_busy_server_is_asked_with_patience(kind: Kind, model: Files) -> None:
    files = kind.stock(model)
    asked = [0]

    def busy(handler: Handler, _path: str) -> bool:
        asked[0] += 1
        if asked[0] % 4 == 0:
            return False
        handler.error((503, 500, 429)[asked[0] % 3], {"Retry-After": "0"})
        return True

    kind.shop.faults = [busy]
    kind.check(files, kind.load())


def test_a_server_that_stays_away_is_given_up_with_a_cause(
    kind: Kind, model: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.stock(model)
    monkeypatch.setattr(patience, "LISTING_SECONDS", 0.1)
    kind.shop.faults = [lambda handler, _path: not handler.error(503)]
    with pytest.raises(Temporary) as gone:
        kind.load()
    assert gone.value.reason == "SourceUnreachable"
    assert "it answers 503" in gone.value.message


def test_damaged_bytes_are_fetched_again_and_then_named(kind: Kind, model: Files) -> None:
    """The server gives other bytes than it publishes; of a plain server the user knows the digest."""
    if kind.scheme == "https":
        import hashlib

        files = kind.stock(model)
        (name,) = files
        kind.extra["uri"] = f"{kind.shop.url}/{name}#sha256={hashlib.sha256(files[name]).hexdigest()}"
    else:
        files = kind.stock(model)
    name = largest(files)
    damages = [1]

    def damage(handler: Handler, path: str) -> bool:
        if bytes_of(path, files) and path.endswith(name) and damages[0] and handler.command == "GET":
            asked = handler.headers.get("Range", "")
            if asked == "bytes=0-0":
                return False
            damages[0] -= 1
            full = next(key for key in kind.shop.files if key.endswith(name))
            data = kind.shop.files[full]
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            bad = bytearray(data[first : last + 1])
            bad[len(bad) // 2] ^= 1
            handler.send(
                206, bytes(bad), {"Content-Range": f"bytes {first}-{last}/{len(data)}", "ETag": kind.shop.tag(full)}
            )
            return True
        return False

    kind.shop.faults = [damage]
    kind.check(files, kind.load())
    assert damages == [0]
    damages[0] = 10**6
    kind.claim.joinpath("models/granite").rename(kind.claim / "old")
    for marker in ("current", "fetched"):
        (kind.claim / ".pvserve/models/models%2Fgranite" / marker).unlink()
    with pytest.raises(DataDiffers) as damaged:
        kind.load()
    assert damaged.value.reason == "SourceDamaged"
    assert name in damaged.value.message
    assert not (kind.claim / "models/granite").exists()


def test_a_file_that_changes_while_it_is_read_is_never_mixed(kind: Kind, model: Files) -> None:
    files = kind.stock(model)
    name = largest(files)
    reads = [0]

    def swap(handler: Handler, path: str) -> bool:
        if bytes_of(path, files) and path.endswith(name) and handler.headers.get("Range") != "bytes=0-0":
            reads[0] += 1
            if reads[0] == 2:
                kind.replace(name, os.urandom(len(files[name])))
        return False

    kind.shop.faults = [swap]
    if kind.scheme == "hf":
        with pytest.raises(DataDiffers):  # a commit cannot change: what the Hub publishes for it decides
            kind.load()
    else:
        with pytest.raises(StalePlan) as changed:
            kind.load()
        assert changed.value.reason == "SourceChanged"
    assert not (kind.claim / "models").exists()


def test_a_source_that_changed_since_the_plan_is_refused(kind: Kind, model: Files) -> None:
    kind.stock(model)
    with pytest.raises(StalePlan):
        kind.load(fingerprint="0" * 64)
    assert not (kind.claim / "models").exists()


def test_a_forbidden_source_says_so(kind: Kind, model: Files) -> None:
    kind.stock(model)
    kind.shop.faults = [lambda handler, _path: not handler.error(403)]
    with pytest.raises(NotAllowed) as forbidden:
        kind.load()
    assert forbidden.value.reason == "SourceForbidden"


def test_what_does_not_exist_says_so(kind: Kind, model: Files) -> None:
    kind.stock(model)
    kind.shop.faults = [lambda handler, _path: not handler.error(404)]
    with pytest.raises(Refused) as missing:
        kind.load()
    assert missing.value.reason == "NoSuchSource"


def test_a_certificate_that_nobody_vouches_for_is_refused(kind: Kind, model: Files) -> None:
    kind.stock(model)
    kind.ca = []
    with pytest.raises(Refused) as untrusted:
        kind.load()
    assert untrusted.value.reason == "SourceCertificate"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_DIR"])
def test_each_of_the_usual_variables_names_a_ca(
    kind: Kind, model: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, variable: str
) -> None:
    import shutil
    import subprocess

    files = kind.stock({"a": model["model-00002.safetensors"]})
    (bundle,), kind.ca = kind.ca, []
    if variable.endswith("DIR"):
        where = tmp_path / "hashed"
        where.mkdir()
        digest = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", bundle], capture_output=True, text=True)
        shutil.copy(bundle, where / f"{digest.stdout.strip()}.0")
        bundle = str(where)
    monkeypatch.setenv(variable, bundle)
    kind.check(files, kind.load())


def test_cas_that_the_client_hands_on_are_trusted(kind: Kind, model: Files) -> None:
    from pathlib import Path

    files = kind.stock({"a": model["model-00002.safetensors"]})
    (bundle,), kind.ca = kind.ca, []
    kind.check(files, kind.load(given={"ca": Path(bundle).read_text()}))


def test_a_full_volume_is_refused_before_the_first_byte(
    kind: Kind, model: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pvserve.transfer.agent.fetch import job

    kind.stock(model)
    monkeypatch.setattr(job, "space", lambda _root: {"free": 1 << 20, "size": 1 << 30, "block": 4096, "inodes": -1})
    with pytest.raises(Refused) as full:
        kind.load()
    assert full.value.reason == "ClaimTooSmall"


def test_progress_ends_with_everything_counted(kind: Kind, model: Files) -> None:
    from pvserve.transfer.agent.fetch.job import carry_out

    files = kind.stock(model)
    progress = Progress()
    carry_out(kind.order(), progress)
    value = progress.value()
    total = sum(map(len, files.values()))
    assert (value["bytes"], value["bytesTotal"], value["files"]) == (total, total, len(files))


def test_what_is_kept_in_memory_until_it_is_read_back_is_bounded() -> None:
    assert fetching.CONNECTIONS < fetching.BUFFERS <= 128 * MIB // work.PIECE
