"""Options of all tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec("hypothesis"):  # the environments of other Kubernetes clients have none
    from hypothesis import settings

    # Its own limit of 200 ms an example fails on a machine that has other work.
    settings.register_profile("any-machine", deadline=None)
    settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew; then read the diff")
