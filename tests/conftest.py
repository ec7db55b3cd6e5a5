"""Options of all tests."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

if find_spec("hypothesis"):  # the environments of other Kubernetes clients have none
    from hypothesis import HealthCheck, settings

    # Its own limits, 200 ms an example and some seconds for making ten, fail on a machine that has other work.
    settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew; then read the diff")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Why each test that was run once more failed the first time."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"failed at first: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
