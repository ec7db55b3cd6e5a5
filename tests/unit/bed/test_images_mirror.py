"""Which Debian mirror the base comes from, for the apt sources a machine may have."""

from pathlib import Path

import pytest

from bed.images import ImageError
from bed.images.debian import source_lines

KEYS = Path("/keys.gpg")


def test_a_debian_machine_lends_its_mirror_and_its_security_updates() -> None:
    targets = [
        ("Third Party", "tools", "https://tools.test/apt/"),
        ("Debian", "Debian", "http://mirror.test/debian/"),
        ("Debian", "Debian-Security", "http://mirror.test/debian-security/"),
        ("Debian", "Debian", "http://mirror.test/debian/"),
    ]
    assert source_lines(targets, KEYS).splitlines() == [
        "deb [signed-by=/keys.gpg] http://mirror.test/debian/ bookworm main",
        "deb [signed-by=/keys.gpg] http://mirror.test/debian-security/ bookworm-security main",
    ]


def test_an_ubuntu_machine_looks_for_debian_beside_ubuntu() -> None:
    targets = [("Ubuntu", "Ubuntu", "http://mirror.test/pub/ubuntu/")]
    assert source_lines(targets, KEYS) == "deb [signed-by=/keys.gpg] http://mirror.test/pub/debian/ bookworm main\n"


def test_without_a_mirror_the_setting_is_named() -> None:
    with pytest.raises(ImageError, match="BED_DEBIAN_MIRROR=URL"):
        source_lines([("Third Party", "tools", "https://tools.test/apt/")], KEYS)
