"""What KServe's storage initializer downloads: started with what it needs, digested, judged by the same rules."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pvserve.errors import PvserveError, Refused, Temporary
from pvserve.spec.remote import parse_remote
from pvserve.transfer.agent.fetch import initializer

from .conftest import Kind

STAND_IN = """#!/bin/sh
echo "$1" > {told}/argument
env > {told}/environment
mkdir -p "$2/sub"
printf weights > "$2/model.gguf"
printf 123 > "$2/sub/config.json"
{more}
"""


@pytest.fixture
def kind(make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kind:
    made: Kind = make("s3")
    made.extra = {"scheme": "initializer", "uri": "gs://bucket/granite", "endpoint": ""}
    monkeypatch.setattr(initializer, "PROGRAM", str(tmp_path / "initializer"))
    return made


def stand_in(directory: Path, more: str = "") -> None:
    """The program, which writes two files; `more` is what else it does."""
    program = directory / "initializer"
    program.write_text(STAND_IN.format(told=directory, more=more))
    program.chmod(0o755)


def test_it_writes_to_the_claim_and_its_files_are_digested(kind: Kind, tmp_path: Path) -> None:
    stand_in(tmp_path)
    (kind.secret / "gcloud-application-credentials.json").write_text("{}")
    result = kind.load()
    kind.check({"model.gguf": b"weights", "sub/config.json": b"123"}, result)
    assert (result["bytes"], result["files"], result["source"]) == (10, 2, "gs://bucket/granite")
    assert (tmp_path / "argument").read_text() == "gs://bucket/granite\n"
    said = dict(line.partition("=")[::2] for line in (tmp_path / "environment").read_text().splitlines())
    assert said["GOOGLE_APPLICATION_CREDENTIALS"] == str(kind.secret / "gcloud-application-credentials.json")
    assert said["AWS_ACCESS_KEY_ID"] == "AKIATEST"
    assert "AWS_ACCESS_KEY_ID" not in os.environ
    assert not Path(said["SSL_CERT_FILE"]).exists()  # gone with the program
    assert kind.load()["unchanged"]
    assert not kind.load(replace=True)["unchanged"]


def test_patterns_hold_for_what_it_brought(kind: Kind, tmp_path: Path) -> None:
    stand_in(tmp_path)
    kind.check({"model.gguf": b"weights"}, kind.load(exclude=["sub"]))


@pytest.mark.parametrize("more", ['ln -s /etc/passwd "$2/link"', 'mkfifo "$2/pipe"', 'ln "$2/model.gguf" "$2/other"'])
def test_links_and_special_files_are_refused(kind: Kind, tmp_path: Path, more: str) -> None:
    stand_in(tmp_path, more)
    with pytest.raises(Refused) as refused:
        kind.load()
    assert refused.value.reason == "UnloadableFiles"
    assert not (kind.claim / "models").exists()


def test_its_failure_is_told_without_secrets_and_the_next_job_starts_anew(kind: Kind, tmp_path: Path) -> None:
    stand_in(tmp_path, 'touch "$2/half"; echo "Forbidden for very/secret+key"; exit 3')
    with pytest.raises(PvserveError) as failed:
        kind.load()
    assert (failed.value.reason, failed.value.exit_code) == ("InitializerFailed", 1)
    assert "(exit code 3)" in failed.value.message
    assert "Forbidden for ***" in failed.value.message
    assert "very/secret" not in json.dumps(failed.value.as_dict())
    stand_in(tmp_path, "kill -9 $$")
    with pytest.raises(Temporary, match="signal SIGKILL"):
        kind.load()
    stand_in(tmp_path)
    kind.check({"model.gguf": b"weights", "sub/config.json": b"123"}, kind.load())


def test_an_image_without_it_is_refused(kind: Kind) -> None:
    with pytest.raises(Refused) as lacking:
        kind.load()
    assert lacking.value.reason == "FetchNeedsInitializer"


def test_pickles_of_public_sources_are_refused_here_too(kind: Kind, tmp_path: Path) -> None:
    stand_in(tmp_path, 'printf 1 > "$2/model.pkl"')
    kind.extra["uri"] = "hf://org/model"
    with pytest.raises(Refused) as pickle:
        kind.load()
    assert pickle.value.reason == "PickleRefused"


@pytest.mark.parametrize(
    ("uri", "scheme", "name"),
    [
        ("gs://bucket/models/granite", "initializer", "granite"),
        ("hdfs:///user/granite/", "initializer", "granite"),
        ("https://account.blob.core.windows.net/models/granite", "initializer", "granite"),
        ("https://account.blob.core.windows.net/models/granite.gguf?sig=x", "https", "granite"),
        ("https://blob.core.windows.net.example/granite.gguf", "https", "granite"),
    ],
)
def test_the_uri_says_who_downloads(uri: str, scheme: str, name: str) -> None:
    remote = parse_remote(uri)
    assert (remote.scheme, remote.name) == (scheme, name)
    assert parse_remote("s3://bucket/granite", through_initializer=True).scheme == "initializer"


def test_its_environment_has_an_open_data_hub_connections_endpoint(kind: Kind, tmp_path: Path) -> None:
    stand_in(tmp_path)
    (kind.secret / "AWS_S3_ENDPOINT").write_text("minio.example:9000")
    kind.load()
    assert "AWS_ENDPOINT_URL=https://minio.example:9000\n" in (tmp_path / "environment").read_text()


def test_a_model_of_the_hub_is_named_as_kserve_names_it_and_a_mirror_is_told(kind: Kind, tmp_path: Path) -> None:
    stand_in(tmp_path)
    kind.extra = {"scheme": "initializer", "uri": "hf://org/model@main", "endpoint": "https://hub.example"}
    assert kind.load()["source"] == "hf://org/model@main"
    assert (tmp_path / "argument").read_text() == "hf://org/model:main\n"
    said = (tmp_path / "environment").read_text()
    assert "HF_ENDPOINT=https://hub.example\n" in said
    assert "AWS_ENDPOINT_URL" not in said
