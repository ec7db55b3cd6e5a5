"""Sources that the cluster reads itself, as they are written."""

from __future__ import annotations

import pytest

from pvserve.spec.model import default_path
from pvserve.spec.remote import is_remote, parse_remote


@pytest.mark.parametrize(
    ("uri", "name", "asked"),
    [
        ("s3://models/llm/granite/", "granite", {"bucket": "models", "prefix": "llm/granite"}),
        ("s3://models", "models", {"bucket": "models", "prefix": ""}),
        ("s3:///granite", "granite", {"bucket": "", "prefix": "granite"}),
        ("hf://ibm/granite-7b", "granite-7b", {"repository": "ibm/granite-7b", "revision": ""}),
        ("hf://gpt2@refs/pr/1", "gpt2", {"repository": "gpt2", "revision": "refs/pr/1"}),
        ("https://h/a/granite.Q4.gguf?x=1", "granite", {}),
    ],
)
def test_forms(uri: str, name: str, asked: dict[str, str]) -> None:
    assert is_remote(uri)
    assert (parse_remote(uri).name, parse_remote(uri).asked) == (name, asked)
    assert default_path(uri) == name


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b/a\nb",
        "s3://!",
        "hf://",
        "hf://a/b/c",
        "hf://../x",
        "hf://a/b@..",
        "https://",
        "https://h/",
        "https://u:p@h/x",
    ],
)
def test_what_names_no_source(uri: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_remote(uri)


@pytest.mark.parametrize("model", ["./granite", "/m", "pvc://c/p", "ftp://r/m", None])
def test_what_this_machine_reads_or_nobody(model: str | None) -> None:
    assert not is_remote(model)
