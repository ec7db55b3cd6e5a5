"""Quantities mean what Kubernetes means by them, and come back as they went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity as parse_as_the_official_client

from pvserve.spec.quantity import MAX, claim_size, format_quantity, parse_quantity, round_up


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("10Gi", 10 << 30),
        ("1.5Gi", 3 << 29),
        ("500M", 500_000_000),
        ("1e9", 10**9),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1k", 1000),
        ("100m", 1),  # a tenth of a byte is rounded up
        ("1Ki", 1024),
        (".5Ki", 512),
        ("+1Mi", 1 << 20),
    ],
)
def test_parsing(text: str, size: int) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10GB", "10Gi"),
        ("10 Gi", "10Gi"),
        ("10g", "10Gi"),
        ("10gib", "10Gi"),
        ("", "as 10Gi"),
        ("big", "as 10Gi"),
        ("1K", "1Ki"),
    ],
)
def test_a_slip_is_named_with_what_would_do(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["-1", "-1Gi", "9223372036854775808", "16Ei", "1e999"])
def test_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="below zero or more than"):
        parse_quantity(text)


def test_a_claim_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        claim_size("0Gi")
    assert claim_size("10Gi") == "10Gi"


@given(st.integers(0, MAX))
def test_formatting_is_exact(size: int) -> None:
    assert parse_quantity(format_quantity(size)) == size


@given(st.integers(0, 1 << 50))
def test_rounding_up_never_shrinks_and_stays_close(size: int) -> None:
    rounded = parse_quantity(round_up(size))
    assert size <= rounded <= size + (1 << 30)


@given(st.decimals(0, 10**6, places=3), st.sampled_from(["", "Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T", "m"]))
def test_the_official_client_reads_the_same(number: object, suffix: str) -> None:
    text = f"{number}{suffix}"
    official = parse_as_the_official_client(text)
    assert 0 <= parse_quantity(text) - official < 1
