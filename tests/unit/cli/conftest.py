"""The command in this process: its exit code and both streams, without a terminal and without a cluster."""

import io
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pvserve.cli.interrupts import SIGNALS
from pvserve.cli.main import main

from .said import Said

KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
contexts: [{name: c, context: {cluster: c, user: u, namespace: llm}}]
current-context: c
"""

Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model directory and a kubeconfig whose server does not answer."""
    (tmp_path / "granite").mkdir()
    (tmp_path / "granite" / "config.json").write_text("{}")
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `pvserve ARGS`; stdin is no terminal."""
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def call(*args: str, stdin: str = "") -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as left:
            main(list(args))
        out, err = capsys.readouterr()
        return Said(int(left.value.code or 0), out, err)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)
