"""Images, artifacts and archives: what is in them is unpacked while it comes, under the rules of a local load.

Aspects: layers and whiteouts · links · hostile names · digests and damage · resumed · platforms, tokens, pull Secrets ·
tar, tar.gz and zip at a URL · pickles and patterns.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from pvserve.errors import DataDiffers, NotAllowed, PvserveError, Refused, UsageError
from pvserve.transfer.agent.fetch import landing, unpacking
from pvserve.transfer.agent.fetch.order import Order

from .conftest import MIB, Kind
from .packing import OCI, layer, packed, push, tar, zipped
from .shop import Handler

Make = Callable[[str], Kind]
Files = dict[str, bytes]


@pytest.fixture
def kind(make: Make) -> Kind:
    return make("oci")


@pytest.fixture
def web(make: Make) -> Kind:
    return make("https")


def in_models(files: Files) -> dict[str, Any]:
    return {f"models/{name}": data for name, data in files.items()}


def listed(kind: Kind) -> Any:
    order = kind.order()
    return order.listed(order.source(lambda _text: None).rows())


@pytest.mark.parametrize("form", ["gzip", ""])
def test_a_modelcars_files_are_those_below_models(kind: Kind, model: Files, form: str) -> None:
    files = dict(model)
    push(
        kind.shop,
        layer({"etc/passwd": b"root", "models/": b"", **in_models(files)}, form),
        layer({"models/config.json": b"{1}", "bin/sh": b"#!"}, form),
    )
    result = kind.load()
    kind.check({**files, "config.json": b"{1}"}, result)
    assert result["source"].partition("@sha256:")[0] == kind.source()["uri"].removesuffix(":main")
    assert result["bytes"] == sum(map(len, files.values())) + 1
    again = kind.load()
    assert (again["unchanged"], again["manifest"], again["bytes"]) == (True, result["manifest"], result["bytes"])


def test_uncompressed_layers_tell_their_size_and_compressed_ones_a_guess(kind: Kind) -> None:
    files = {"model.safetensors": os.urandom(MIB)}
    push(kind.shop, layer(in_models(files), ""))
    exact = listed(kind)
    assert (exact.estimated, exact.listing.notes) == (False, ())
    assert MIB <= exact.listing.bytes < MIB + (32 << 10)
    push(kind.shop, layer(in_models(files)))
    guess = listed(kind)
    assert guess.estimated
    assert guess.listing.bytes >= 1.5 * MIB
    assert "1.5 times" in guess.listing.notes[0]


def test_whiteouts_and_upper_layers_hide_what_lies_below(kind: Kind) -> None:
    push(
        kind.shop,
        layer(in_models({"a": b"old", "b": b"gone", "d/x": b"gone", "d/y": b"gone", "e": b"kept", "f/g": b"gone"})),
        layer(in_models({"a": b"new", ".wh.b": b"", "d/.wh..wh..opq": b"", "d/x": b"new", "f": b"a file now"})),
    )
    kind.check({"a": b"new", "d/x": b"new", "e": b"kept", "f": b"a file now"}, kind.load())


def test_a_whiteout_of_the_models_directory_hides_all_of_it(kind: Kind) -> None:
    push(kind.shop, layer(in_models({"old": b"1"})), layer({".wh.models": b"", "models/new": b"2"}))
    kind.check({"new": b"2"}, kind.load())


def test_links_within_the_model_become_copies(kind: Kind) -> None:
    data = os.urandom(2 * MIB)
    push(
        kind.shop,
        layer({"models/blobs/1": data, "models/hard": "=> models/blobs/1", "models/soft": "-> blobs/1"}),
        layer({"models/absolute": "-> /models/soft", "models/sub/up": "-> ../hard"}),
    )
    kind.check(dict.fromkeys(["blobs/1", "hard", "soft", "absolute", "sub/up"], data), kind.load())


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({"models/x": "-> /etc/passwd"}, "leaves the model directory"),
        ({"models/x": "-> ../../etc/passwd"}, "leaves the model directory"),
        ({"etc/x": b"1", "models/x": "=> etc/x"}, "leaves the model directory"),
        ({"models/x": "-> y"}, "none of the files"),
        ({"models/x": "-> y", "models/y": "-> x"}, "none of the files"),
        ({"models/x": "-> d", "models/d/f": b"1"}, "none of the files"),
        ({"models/../../x": b"1"}, "climbs out"),
        ({"models/x": b"1", "./models/x": b"2"}, "twice"),
        ({"models/x": b"1", "models/x/y": b"2"}, "no directory"),
        ({"models": "-> /elsewhere"}, "is no directory"),
        ({"models/X": b"1", "models/x": b"2"}, "clashes"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name(kind: Kind, names: Any, why: str) -> None:
    push(kind.shop, layer(names))
    with pytest.raises(Refused) as refused:
        kind.load()
    assert refused.value.reason == "UnloadableFiles"
    assert why in refused.value.message
    assert not (kind.claim / "models").exists()


@pytest.mark.parametrize("shape", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_special_files_are_refused(kind: Kind, shape: bytes) -> None:
    info = tarfile.TarInfo("models/odd")
    info.type = shape
    push(kind.shop, layer({"models/odd": info}))
    with pytest.raises(Refused, match="FIFO or a device"):
        kind.load()


def test_an_image_without_a_model_says_so(kind: Kind) -> None:
    push(kind.shop, layer({"etc/passwd": b"root"}))
    with pytest.raises(Refused) as empty:
        kind.load()
    assert empty.value.reason == "NotAModel"
    push(kind.shop, ("application/wasm", b"1"))
    with pytest.raises(Refused) as other:
        kind.load()
    assert other.value.reason == "NotAModel"


def test_a_layer_that_came_damaged_comes_again_and_is_named_in_the_end(kind: Kind) -> None:
    files = {"model.safetensors": os.urandom(9 * MIB), "config.json": b"{}"}
    push(kind.shop, layer(in_models(files), ""), layer(in_models({"top": b"1"})))
    good, bad = kind.shop.files["layer-0"], bytearray(kind.shop.files["layer-0"])
    bad[MIB] ^= 1
    damages = [1]

    def damage(handler: Handler, path: str) -> bool:
        if not path.startswith("/blob/layer-0") or not damages[0]:
            return False
        first, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        damages[0] -= first == 0
        said = {"Content-Range": f"bytes {first}-{last}/{len(good)}"}
        handler.send(206, bytes(bad[first : last + 1]), said)
        return True

    kind.shop.faults = [damage]
    kind.check({**files, "top": b"1"}, kind.load())
    damages[0] = 100
    push(kind.shop, layer(in_models(files), ""))
    with pytest.raises(DataDiffers) as damaged:
        kind.load(replace=True)
    assert damaged.value.reason == "SourceDamaged"
    assert damages[0] == 100 - unpacking.TRIES
    assert kind.there()["top"] == b"1"  # nothing was published


def test_whole_layers_do_not_come_again_and_written_files_are_not_written_again(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {f"part-{number}": os.urandom(3000) for number in range(5)}
    files = {"model-00001.safetensors": os.urandom(5 * MIB), "model-00002.safetensors": os.urandom(20 * MIB)}
    push(kind.shop, layer(in_models(files), ""), layer(in_models(small)))

    def gone(handler: Handler, path: str) -> bool:
        if path.startswith("/blob/layer-0") and int(handler.headers["Range"].removeprefix("bytes=").split("-")[0]):
            handler.error(400)
            return True
        return False

    kind.shop.faults = [gone]
    with pytest.raises(PvserveError) as broken:
        kind.load()
    assert broken.value.reason == "SourceFailed"
    assert not (kind.claim / "models").exists()
    kind.shop.faults = []
    kind.shop.counts.clear()
    result = kind.load()
    kind.check({**files, **small}, result)
    assert kind.shop.counts["/blob/layer-1"] == 0
    assert result["fetched"] == len(kind.shop.files["layer-0"])


def test_zstd_is_refused_where_python_has_none(kind: Kind) -> None:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        push(kind.shop, (f"{OCI}.layer.v1.tar+zstd", b"(\xb5/\xfd"))
        with pytest.raises(Refused) as old:
            kind.load()
        assert old.value.reason == "FetchNeedsZstd"
    else:
        files = {"model.gguf": os.urandom(MIB)}
        push(kind.shop, (f"{OCI}.layer.v1.tar+zstd", zstd.compress(tar(in_models(files)))))
        kind.check(files, kind.load())


def test_an_index_gives_the_manifest_for_linux(kind: Kind) -> None:
    digests = [push(kind.shop, layer(in_models({"which": bytes([number])}))) for number in range(3)]
    rows = zip(digests, [("unknown", "unknown"), ("linux", "arm64"), ("linux", "amd64")], strict=True)
    index = {"manifests": [{"digest": d, "platform": {"os": o, "architecture": a}} for d, (o, a) in rows]}
    kind.shop.files["layer-0"] = layer(in_models({"which": b"\2"}))[1]
    kind.shop.manifests["main"] = (f"{OCI}.index.v1+json", json.dumps(index).encode())
    result = kind.load()
    kind.check({"which": b"\2"}, result)
    assert result["source"].endswith(digests[2])
    kind.shop.manifests["main"] = (f"{OCI}.index.v1+json", b'{"manifests": []}')
    with pytest.raises(Refused, match="no manifest for Linux"):
        kind.load()


def test_a_manifest_that_is_not_the_one_asked_for_is_not_believed(kind: Kind) -> None:
    digest = push(kind.shop, layer(in_models({"a": b"1"})))
    push(kind.shop, layer(in_models({"a": b"2"})))
    kind.shop.manifests[digest] = kind.shop.manifests["main"]
    kind.extra["reference"] = digest
    with pytest.raises(DataDiffers):
        kind.load()


def auths(kind: Kind, auth: dict[str, Any]) -> None:
    (kind.secret / ".dockerconfigjson").write_text(json.dumps({"auths": auth}))
    kind.extra["secret"] = "pull"


def test_a_registry_gives_a_token_to_whom_the_pull_secret_names(kind: Kind) -> None:
    push(kind.shop, layer(in_models({"a": b"1"})))
    kind.shop.login = "robot:pass:word"
    with pytest.raises(NotAllowed) as nobody:
        kind.load()
    assert nobody.value.reason == "SourceForbidden"
    auths(kind, {"quay.io": {"auth": base64.b64encode(b"other:x").decode()}})
    with pytest.raises(NotAllowed, match="names nobody for it"):
        kind.load()
    host = kind.source()["registry"]
    wrong = {"auth": base64.b64encode(b"robot:no").decode()}
    right = {"username": "robot", "password": "pass:word"}
    auths(kind, {f"https://{host}": wrong, f"{host}/org": right})
    kind.check({"a": b"1"}, kind.load())
    sent_on = [headers for _, path, headers in kind.shop.seen if path.startswith("/blob/")]
    assert sent_on
    assert all("Authorization" not in headers for headers in sent_on)


def test_a_pull_secret_of_another_form_is_named(kind: Kind) -> None:
    kind.shop.login = "robot:word"
    auths(kind, {})
    (kind.secret / ".dockerconfigjson").write_text("[]")
    with pytest.raises(UsageError) as wrong:
        kind.load()
    assert wrong.value.reason == "ConnectionInvalid"


def test_an_artifacts_directories_are_unpacked_beside_its_files(kind: Kind) -> None:
    directory = packed(tar({"weights/": b"", "weights/model.safetensors": b"w" * MIB, "weights/sub/x": b"1"}))
    push(
        kind.shop,
        ("application/json", b"{}"),
        ("application/vnd.oci.image.layer.v1.tar+gzip", directory),
        titles={
            0: {"org.opencontainers.image.title": "config.json"},
            1: {"org.opencontainers.image.title": "weights", "io.deis.oras.content.unpack": "true"},
        },
    )
    kind.check({"config.json": b"{}", "weights/model.safetensors": b"w" * MIB, "weights/sub/x": b"1"}, kind.load())


def test_an_artifacts_directory_holds_nothing_outside_of_itself(kind: Kind) -> None:
    push(
        kind.shop,
        ("application/vnd.oci.image.layer.v1.tar+gzip", packed(tar({"elsewhere/x": b"1"}))),
        titles={0: {"org.opencontainers.image.title": "weights", "io.deis.oras.content.unpack": "true"}},
    )
    with pytest.raises(Refused, match="outside of the directory weights"):
        kind.load()


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "zip", "stored.zip"])
@pytest.mark.parametrize("ranges", [True, False])
def test_an_archive_at_a_url_is_unpacked(web: Kind, model: Files, ending: str, ranges: bool) -> None:
    data = {
        "tar": lambda: tar(dict(model)),
        "zip": lambda: zipped(model),
        "stored.zip": lambda: zipped(model, zipfile.ZIP_STORED),
    }.get(ending, lambda: packed(tar(dict(model))))()
    web.shop.files = {f"granite.{ending}": data}
    web.shop.ranges = ranges
    web.extra["uri"] = f"{web.shop.url}/granite.{ending}#sha256={hashlib.sha256(data).hexdigest()}"
    if "zip" in ending and not ranges:
        with pytest.raises(Refused) as no_ranges:
            web.load()
        assert no_ranges.value.reason == "ArchiveNeedsRanges"
        return
    web.check(model, web.load())
    assert web.load()["unchanged"]


def test_a_zip_tells_what_it_holds_before_it_is_unpacked(web: Kind) -> None:
    web.shop.files = {"granite.zip": zipped({"a.gguf": b"0" * (3 * MIB)})}
    assert listed(web).listing.bytes == 3 * MIB


@pytest.mark.parametrize(
    ("ending", "spoil"),
    [
        ("tar.gz", lambda data: data[: len(data) // 2]),
        ("tar.gz", lambda data: data[:-8] + b"\0" * 8),
        ("tar", lambda data: data[: MIB // 2]),
        ("tar", lambda data: data[:MIB] + b"x" * (len(data) - MIB)),
        ("zip", lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:]),
        ("zip", lambda data: data[:-30]),
        ("tar", lambda data: b"no archive" * 1000),
    ],
)
def test_a_broken_archive_is_named_and_nothing_is_published(web: Kind, ending: str, spoil: Any) -> None:
    files = {"a.bin.gguf": os.urandom(MIB), "b": os.urandom(1000)}
    data = {"tar": tar(dict(files)), "tar.gz": packed(tar(dict(files))), "zip": zipped(files, zipfile.ZIP_STORED)}
    web.shop.files = {f"granite.{ending}": spoil(data[ending])}
    with pytest.raises(DataDiffers) as broken:
        web.load()
    assert broken.value.reason == "ArchiveBroken"
    assert not (web.claim / "models").exists()


def test_an_archive_that_is_not_the_promised_one_is_refused(web: Kind) -> None:
    web.shop.files = {"granite.tar": tar({"a": b"1"})}
    web.extra["uri"] = f"{web.shop.url}/granite.tar#sha256={'0' * 64}"
    with pytest.raises(DataDiffers) as other:
        web.load()
    assert other.value.reason == "SourceDamaged"


def test_links_and_secrets_of_a_zip_are_refused(web: Kind) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    data = zipped({"a": b"1"})
    import io

    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(info, "a")
    web.shop.files = {"granite.zip": out.getvalue()}
    with pytest.raises(Refused, match="is a link"):
        web.load()


def test_patterns_and_pickles_are_judged_by_what_is_inside(web: Kind) -> None:
    names: dict[str, Any] = {"a/model.bin.pt": b"1", "a/config.json": b"{}", "b/x": b"2"}
    web.shop.files = {"granite.tar": tar(names)}
    with pytest.raises(Refused) as pickle:
        web.load()
    assert pickle.value.reason == "PickleRefused"
    web.check({"a/model.bin.pt": b"1", "a/config.json": b"{}"}, web.load(allowPickle=True, exclude=["b"]))
    web.shop.files = {"granite.tar": tar({**names, "a/model.safetensors": b"3", "a/tf_model.h5": b"4"})}
    result = web.load(include=[], exclude=["b/*"], replace=True)
    web.check({"a/config.json": b"{}", "a/model.safetensors": b"3"}, result)


def test_a_header_that_would_fill_the_memory_is_refused(web: Kind) -> None:
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 4 << 30
    web.shop.files = {"granite.tar": head.tobuf() + b"\0" * 4096}
    with pytest.raises(DataDiffers, match="no sensible size"):
        web.load()


def test_the_rules_are_part_of_the_plans_fingerprint(kind: Kind) -> None:
    push(kind.shop, layer(in_models({"a": b"1"})))

    def fingerprint(**changes: Any) -> str:
        order: Order = kind.order(**changes)
        return str(order.listed(order.source(lambda _text: None).rows()).listing.fingerprint)

    assert fingerprint() == fingerprint()
    assert fingerprint(exclude=["b"]) != fingerprint()


def test_a_file_that_fits_nowhere_is_refused_before_it_is_written(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    push(kind.shop, layer(in_models({"zeros.gguf": b"\0" * (32 * MIB)})))
    few = {"free": 8 * MIB, "size": 1 << 30, "block": 4096, "inodes": -1}
    monkeypatch.setattr(landing, "space", lambda _root: few)
    with pytest.raises(Refused) as full:
        kind.load()
    assert full.value.reason == "ClaimTooSmall"
    assert not list(kind.claim.rglob("zeros.gguf"))
