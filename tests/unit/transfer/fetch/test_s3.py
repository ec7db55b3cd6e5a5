"""S3 alone: the signature, addresses, what of a listing is taken, and which digests are believed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvserve.errors import NotAllowed, PvserveError, Refused, UsageError
from pvserve.transfer.agent.fetch.s3 import access_of, parsed
from pvserve.transfer.agent.fetch.secrets import Mounted
from pvserve.transfer.agent.fetch.sigv4 import Key, signed

from .conftest import MIB, Kind
from .shop import Handler

Make = Callable[[str], Kind]


def test_the_signature_is_that_of_amazons_own_example() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "GET Object"."""
    key = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    url = "https://examplebucket.s3.amazonaws.com/test.txt"
    said = signed("GET", url, {"Range": "bytes=0-9"}, key, "us-east-1", now=1369353600)
    assert said["Authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_the_same_of_a_list_with_a_query() -> None:
    key = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    url = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"
    said = signed("GET", url, {}, key, "us-east-1", now=1369353600)
    assert said["Authorization"].endswith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


@pytest.mark.parametrize(
    ("asked", "data", "endpoint", "region", "virtual"),
    [
        ({}, {}, "https://s3.us-east-1.amazonaws.com", "us-east-1", True),
        ({"region": "eu-west-1"}, {}, "https://s3.eu-west-1.amazonaws.com", "eu-west-1", True),
        ({}, {"AWS_S3_ENDPOINT": "https://s3.eu-north-1.amazonaws.com/"}, "https://s3.eu-north-1.amazonaws.com",
         "eu-north-1", True),
        ({}, {"AWS_S3_ENDPOINT": "minio:9000", "AWS_DEFAULT_REGION": "here"}, "https://minio:9000", "here", False),
        ({"endpoint": "http://asked:1"}, {"AWS_S3_ENDPOINT": "http://said:1"}, "http://asked:1", "us-east-1", False),
        ({"bucket": "with.dots"}, {}, "https://s3.us-east-1.amazonaws.com", "us-east-1", False),
    ],
)  # fmt: skip
def test_where_the_bucket_is(
    tmp_path: Path, asked: dict[str, str], data: dict[str, str], endpoint: str, region: str, virtual: bool
) -> None:
    for name, value in data.items():
        (tmp_path / name).write_text(value)
    access = access_of({"bucket": "b", **asked}, Mounted(str(tmp_path)))
    assert (access.endpoint, access.region, access.virtual, access.key) == (endpoint, region, virtual, None)


def test_a_storage_config_entry_says_all(tmp_path: Path) -> None:
    (tmp_path / "storage.json").write_text(
        '{"type":"s3","access_key_id":"k","secret_access_key":"s","endpoint_url":"http://h:1","bucket":"b","region":"r"}'
    )
    access = access_of({"secret": "storage-config"}, Mounted(str(tmp_path)))
    assert (access.endpoint, access.bucket, access.region, access.key) == ("http://h:1", "b", "r", Key("k", "s"))


def test_a_secret_without_the_keys_names_those_it_has(tmp_path: Path) -> None:
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("k")
    with pytest.raises(UsageError) as lacking:
        access_of({"bucket": "b", "secret": "s"}, Mounted(str(tmp_path)))
    assert lacking.value.reason == "ConnectionInvalid"
    assert "AWS_ACCESS_KEY_ID" in lacking.value.message


def test_wrong_keys_are_said_to_be_wrong(make: Make, model: dict[str, bytes]) -> None:
    kind = make("s3")
    kind.stock(model)
    (kind.secret / "AWS_SECRET_ACCESS_KEY").write_text("other")
    with pytest.raises(NotAllowed) as wrong:
        kind.load()
    assert "SignatureDoesNotMatch" in wrong.value.message


def test_a_bucket_open_to_all_is_asked_without_a_signature(make: Make) -> None:
    kind = make("s3")
    files = kind.stock({"a": b"1"})
    kind.extra["anonymous"] = True
    kind.shop.unsigned_too = True
    kind.check(files, kind.load())
    assert not any("Authorization" in headers for _, _, headers in kind.shop.seen)


def test_one_object_is_a_model_of_one_file(make: Make) -> None:
    kind = make("s3")
    kind.shop.files = {"granite/model.gguf": b"x" * 1000, "granite/model.gguf.md5": b"no"}
    kind.extra["prefix"] = "granite/model.gguf"
    kind.check({"model.gguf": b"x" * 1000}, kind.load())


def test_a_neighbour_with_a_longer_name_is_not_taken(make: Make) -> None:
    kind = make("s3")
    kind.shop.files = {"granite/a": b"1", "granite-large/b": b"2", "granite/": b""}
    kind.check({"a": b"1"}, kind.load())


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/etc/passwd", "a//b", "a\0b", "x" * 300, "a/./b", "C:\\x", "..\\..\\x"]
)
def test_names_that_lead_out_are_refused_and_nothing_is_written(make: Make, name: str) -> None:
    kind = make("s3")
    kind.shop.files = {f"granite/{name}": b"evil", "granite/config.json": b"{}"}
    with pytest.raises((Refused, PvserveError)):
        kind.load()
    assert list(kind.claim.rglob("*")) == []
    assert not (kind.claim.parent / "out").exists()


def test_names_that_differ_only_in_case_are_refused(make: Make) -> None:
    kind = make("s3")
    kind.stock({"Config.json": b"1", "config.json": b"2"})
    with pytest.raises(Refused) as clash:
        kind.load()
    assert clash.value.reason == "UnloadableFiles"


def test_a_list_with_a_document_type_is_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>'
    with pytest.raises(Refused) as refused:
        parsed(bomb, "http://h/")
    assert refused.value.reason == "SourceUnsafe"


def test_what_is_no_s3_server_is_said_to_be_none(make: Make) -> None:
    kind = make("s3")
    kind.stock({"a": b"1"})
    kind.shop.faults = [lambda handler, _path: not handler.send(200, b"<html>hello", {})]
    with pytest.raises(PvserveError) as other:
        kind.load()
    assert "does not answer as an S3 server" in other.value.message


@pytest.mark.parametrize(
    "headers",
    [{"x-amz-server-side-encryption": "aws:kms"}, {"x-amz-server-side-encryption-customer-algorithm": "AES256"}],
)
def test_an_etag_of_an_encrypted_object_is_no_digest(make: Make, headers: dict[str, str]) -> None:
    kind = make("s3")
    kind.shop.checksums = False
    files = kind.stock({"small": b"1" * 100, "large": os.urandom(MIB)})
    kind.shop.tags = {f"granite/{name}": f'"{"ab" * 16}"' for name in files}
    kind.shop.said = headers
    kind.check(files, kind.load())


def test_an_etag_that_is_the_md5_is_compared(make: Make) -> None:
    kind = make("s3")
    kind.shop.checksums = False
    files = kind.stock({"small": b"1" * 100, "large": os.urandom(3 * MIB)})
    kind.check(files, kind.load())
    other = make_other(kind, "large", '"' + hashlib.md5(b"else").hexdigest() + '"')
    with pytest.raises(PvserveError) as damaged:
        other()
    assert damaged.value.reason == "SourceDamaged"


def make_other(kind: Kind, name: str, tag: str) -> Callable[[], Any]:
    """The same bytes under an ETag that is the MD5 of others."""
    kind.shop.tags[f"granite/{name}"] = tag
    return lambda: kind.load(replace=True)


def test_an_object_uploaded_in_parts_is_loaded_by_what_came(make: Make) -> None:
    kind = make("s3")
    kind.shop.checksums = False
    files = kind.stock({"large": os.urandom(9 * MIB)})
    kind.shop.tags["granite/large"] = f'"{"0" * 32}-2"'
    kind.check(files, kind.load())


def test_keys_that_expired_are_read_again_from_the_secret(make: Make, model: dict[str, bytes]) -> None:
    kind = make("s3")
    files = kind.stock(model)
    good = (kind.secret / "AWS_SECRET_ACCESS_KEY").read_text()
    asked = [0]

    def expire(handler: Handler, path: str) -> bool:
        if not path.endswith("/bucket"):
            asked[0] += 1
        if asked[0] != 3:
            return False
        (kind.secret / "AWS_SESSION_TOKEN").write_text("new")
        (kind.secret / "AWS_SECRET_ACCESS_KEY").write_text(good)
        handler.error(400, body=b"<Error><Code>ExpiredToken</Code></Error>")
        return True

    kind.shop.faults = [expire]
    kind.check(files, kind.load())
    assert any("x-amz-security-token" in {name.lower() for name in headers} for _, _, headers in kind.shop.seen)
