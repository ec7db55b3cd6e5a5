"""The Hub alone: commits, tokens, signed addresses, formats and pickles."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from pvserve.errors import DataDiffers, NotAllowed, Refused
from pvserve.model import from_json

from .conftest import MIB, Kind
from .shop import COMMIT, Handler

Make = Callable[[str], Kind]


@pytest.fixture
def kind(make: Make) -> Kind:
    return make("hf")


def test_the_manifest_names_the_commit(kind: Kind, model: dict[str, bytes]) -> None:
    kind.stock(model)
    kind.extra["revision"] = "v1"
    digest = kind.load()["manifest"].removeprefix("sha256:")
    text = (kind.claim / ".pvserve/models/models%2Fgranite" / digest / "manifest.json").read_text()
    assert from_json(text).source == f"hf://org/model@{COMMIT}"


def test_the_token_goes_to_the_hub_alone(kind: Kind, model: dict[str, bytes]) -> None:
    files = kind.stock(model)
    kind.shop.token = "word"
    (kind.secret / "HF_TOKEN").write_text("word\n")
    kind.check(files, kind.load())  # the shop refuses a token where the blobs are


def test_a_gated_model_says_what_to_accept(kind: Kind, model: dict[str, bytes]) -> None:
    kind.stock(model)
    kind.shop.token = "word"
    (kind.secret / "HF_TOKEN").write_text("other")
    with pytest.raises(NotAllowed) as gated:
        kind.load()
    assert "gated" in gated.value.message
    (kind.secret / "HF_TOKEN").unlink()
    with pytest.raises(Refused) as private:
        kind.load()
    assert "no token was given" in private.value.message


def test_a_revision_that_is_not_there(kind: Kind, model: dict[str, bytes]) -> None:
    kind.stock(model)
    kind.extra["revision"] = "v9"
    with pytest.raises(Refused) as missing:
        kind.load()
    assert "no revision v9" in missing.value.message


def test_a_signed_address_that_expired_is_asked_for_again(kind: Kind) -> None:
    files = kind.stock({"model.safetensors": os.urandom(40 * MIB)})
    kind.shop.link_seconds = 1.0

    def slow(_handler: Handler, path: str) -> bool:
        if path.startswith("/blob/"):
            time.sleep(0.6)
        return False

    kind.shop.faults = [slow]
    kind.check(files, kind.load())
    assert kind.shop.counts["/hub/org/model/resolve/" + COMMIT + "/model.safetensors"] > 1


def test_a_signed_address_is_used_while_it_is_good(kind: Kind) -> None:
    files = kind.stock({"model.safetensors": os.urandom(60 * MIB)})
    kind.check(files, kind.load())
    assert kind.shop.counts["/hub/org/model/resolve/" + COMMIT + "/model.safetensors"] <= 6  # one for each connection


def test_a_small_file_that_is_not_its_git_blob_is_damaged(kind: Kind) -> None:
    kind.stock({"config.json": b"{}"})

    def other(handler: Handler, path: str) -> bool:
        if "/resolve/" not in path:
            return False
        handler.send(200, b"[]", {})
        return True

    kind.shop.faults = [other]
    with pytest.raises(DataDiffers):
        kind.load()


def test_weights_that_are_there_as_safetensors_are_left_out_otherwise(kind: Kind) -> None:
    kept = {"model.safetensors": os.urandom(1000), "config.json": b"{}", "openvino_model.bin": b"not a pickle"}
    doubled = {
        "pytorch_model-00001-of-2.bin": b"1",
        "tf_model.h5": b"2",
        "training_args.bin": b"3",
        "original/a.pth": b"4",
    }
    kind.stock({**kept, **doubled})
    kind.check(kept, kind.load())


def test_a_pickle_alone_is_refused_unless_it_is_allowed(kind: Kind) -> None:
    files = kind.stock({"pytorch_model.bin": b"\x80\x02", "config.json": b"{}"})
    with pytest.raises(Refused) as pickle:
        kind.load()
    assert pickle.value.reason == "PickleRefused"
    assert list(kind.claim.iterdir()) == []
    kind.check(files, kind.load(allowPickle=True))


def test_patterns_choose(kind: Kind) -> None:
    kind.stock({"a.safetensors": b"1", "b.json": b"2", "original/c.json": b"3"})
    kind.check({"b.json": b"2"}, kind.load(include=["*.json"], exclude=["original/*"]))


@pytest.mark.parametrize("name", ["../../x", "/x", ".git/config"])
def test_hostile_names_never_reach_the_volume(kind: Kind, name: str) -> None:
    kind.stock({name: b"evil", "config.json": b"{}"})
    if name == ".git/config":  # left out, as of every source
        kind.check({"config.json": b"{}"}, kind.load())
        return
    with pytest.raises(Refused):
        kind.load()
    assert list(kind.claim.iterdir()) == []
