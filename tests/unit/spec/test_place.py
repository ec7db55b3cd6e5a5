"""pvc:// addresses: KServe's own are understood, ours are strict."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvserve.errors import UsageError
from pvserve.spec.place import Place, parse_place, parse_target


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("pvc://models", Place("models")),
        ("pvc://models/", Place("models")),
        ("pvc://models/a", Place("models", "a")),
        ("pvc://models/a/b/", Place("models", "a/b")),  # KServe mounts subPath a/b/
        ("pvc://models//a", Place("models", "a")),
        ("pvc://my.models/a b", Place("my.models", "a b")),
    ],
)
def test_what_services_name(uri: str, place: Place) -> None:
    assert parse_place(uri) == place


@pytest.mark.parametrize("uri", ["", "models/a", "s3://b/k", "pvc://", "pvc:///a", "pvc://Models/a", "pvc://m/../a"])
def test_no_places(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_place(uri)
    assert caught.value.reason == "NotAPlace"
    assert "pvc://CLAIM/PATH" in caught.value.remedy[0]


@pytest.mark.parametrize(
    "uri", ["pvc://m/", "pvc://m/../x", "pvc://m/.pvserve/x", "pvc://m/a b", "pvc://m//a", "pvc://m/a/"]
)
def test_targets_are_strict(uri: str) -> None:
    with pytest.raises(UsageError, match="no place on a claim"):
        parse_target(uri)


def test_a_target_may_leave_the_path_open() -> None:
    assert parse_target("pvc://models") == Place("models")
    assert parse_target("pvc://models/granite") == Place("models", "granite")


@given(st.from_regex(r"pvc://[a-z][a-z0-9-]{0,20}[a-z](/[a-z.]{1,9}){0,3}", fullmatch=True))
def test_what_is_written_is_read_again(uri: str) -> None:
    try:
        place = parse_target(uri)
    except UsageError:
        return
    assert str(place) == uri
    assert parse_place(str(place)) == place


@given(st.text(max_size=60))
def test_nothing_else_than_a_usage_error_comes_out(text: str) -> None:
    for parse in (parse_place, parse_target):
        for uri in (text, "pvc://" + text):
            with contextlib.suppress(UsageError):
                parse(uri)
