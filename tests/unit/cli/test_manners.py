"""Manners of the command: help, plugins, completion, signals, pipes, start-up."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from pathlib import Path

import pytest

from pvserve import __version__
from pvserve.cli.main import COMMANDS, main, root
from pvserve.cli.output import wanted_output

from .conftest import Run

ROOT = Path(__file__).parents[3]
PVSERVE = (sys.executable, "-m", "pvserve.cli.main")
HEAVY = ("kubernetes", "pydantic", "ruamel", "yaml", "websockets", "cryptography", "rich", "asyncio")


@pytest.mark.parametrize("command", list(COMMANDS))
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help(run: Run, command: str, flag: str) -> None:
    said = run(command, flag)
    assert said.code == 0
    assert said.out.startswith(f"Usage: pvserve {command} ")


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ("schema", "version")])
def test_every_cluster_command_takes_the_flags_that_kubectl_takes(command: str) -> None:
    found = root.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    flags = {flag for parameter in found.params for flag in parameter.opts}
    assert {"-n", "--namespace", "--context", "--kubeconfig", "--as", "--request-timeout", "-o", "-v"} <= flags


def test_the_commands_of_the_readme_are_those_there_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("| command | does |")[1].split("\n\n")[0]
    first_cells = " ".join(line.split("|")[1].replace("\\", "") for line in table.splitlines()[2:])
    named = {word.strip("`,") for word in first_cells.split()} & set(COMMANDS)
    assert named == set(COMMANDS) - {"version"}


def test_the_command_alone_shows_its_help(run: Run) -> None:
    assert run().out == run("--help").out


@pytest.mark.parametrize(
    ("program", "shown"),
    [("kubectl-pvserve", "kubectl pvserve"), ("oc-pvserve", "oc pvserve"), ("pvserve", "pvserve")],
)
def test_usage_shows_how_the_command_was_called(
    run: Run, monkeypatch: pytest.MonkeyPatch, program: str, shown: str
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{program}"])
    assert run("ls", "-h").out.startswith(f"Usage: {shown} ls ")
    assert f"-> {shown} ls --help" in run("ls", "--nope").err


def test_help_loads_nothing_heavy() -> None:
    script = f"""
        import sys
        from pvserve.cli.main import main
        for argv in (["--help"], *(([command, "--help"]) for command in {list(COMMANDS)})):
            try:
                main(argv)
            except SystemExit:
                pass
        print([name for name in {HEAVY} if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_shell_completes_commands_and_flags() -> None:
    def completed(words: str, position: int) -> list[str]:
        env = {**os.environ, "_PVSERVE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        code = "import sys; sys.argv[0] = 'pvserve'; from pvserve.cli.main import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)
        return [line.split(",")[1] for line in done.stdout.splitlines()]

    assert completed("pvserve de", 1) == ["deploy"]
    assert completed("pvserve deploy --storage-c", 2) == ["--storage-class"]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_the_version_for_machines(run: Run, form: str) -> None:
    said = run("version", "-o", form)
    (result,) = said.objects if form == "json" else said.documents
    assert result["version"] == __version__


def test_the_version_is_the_package_s() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_the_schema_is_json(run: Run) -> None:
    assert json.loads(run("schema").out)["properties"]["claim"]


@pytest.mark.parametrize(
    ("argv", "form"),
    [
        (["ls", "-o", "json"], "json"),
        (["ls", "-ojson"], "json"),
        (["ls", "-o=json"], "json"),
        (["ls", "--output=yaml"], "yaml"),
        (["ls", "--output", "yaml"], "yaml"),
        (["ls", "-o", "xml"], "text"),
        (["ls", "-o"], "text"),
        (["ls"], "text"),
        (["load", "--", "-ojson"], "text"),
    ],
)
def test_the_form_is_known_before_flags_are_read(argv: list[str], form: str) -> None:
    assert wanted_output(argv) == form


def heeding_hangups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def waiting() -> subprocess.Popen[str]:
    """A command that waits for a model file on stdin."""
    process = subprocess.Popen(
        [*PVSERVE, "plan", "-f", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding_hangups,  # the tests may run under nohup
    )
    status = Path(f"/proc/{process.pid}/wchan")
    for _ in range(100):
        time.sleep(0.1)
        if "pipe" in status.read_text():
            break
    return process


@pytest.mark.skipif(not Path("/proc/self/wchan").exists(), reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 130)])
def test_a_signal_ends_a_command_with_its_code_and_a_sentence(number: signal.Signals, code: int) -> None:
    process = waiting()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert "the same command resumes" in err
    assert "Traceback" not in err


CANCELLING = """
import time
from pvserve.cli.interrupts import cancelling, exit_code
with cancelling() as cancel:
    print("ready", flush=True)
    while not (cancel.is_set() and {first_ends}):
        time.sleep(0.01)
raise SystemExit(exit_code())
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("times", [1, 2])
def test_the_first_signal_stops_the_work_and_the_second_the_process(
    number: signal.Signals, code: int, times: int
) -> None:
    script = CANCELLING.format(first_ends=times == 1)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert "again to leave at once" in process.stderr.readline()
    if times == 2:
        process.send_signal(number)
    assert process.wait(timeout=20) == code
    process.communicate()


@pytest.mark.parametrize("args", [("schema",), ("--help",), ("version", "-o", "json")])
def test_a_reader_that_left_gets_no_complaint(args: tuple[str, ...]) -> None:
    process = subprocess.Popen([*PVSERVE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert (process.wait(timeout=20), process.stderr.read()) == (1, "")
    process.stderr.close()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_fault_of_ours(closed: str) -> None:
    script = f'"$@" version {closed}; echo $?'
    done = subprocess.run(["sh", "-c", script, "sh", *PVSERVE], capture_output=True, text=True, timeout=20)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("0", "")


def ignoring_hangups() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_under_nohup_a_load_outlives_its_terminal() -> None:
    script = "import signal; from pvserve.cli.interrupts import cancelling, stop_on_signals\nstop_on_signals()\n"
    script += "with cancelling() as cancel:\n  signal.raise_signal(signal.SIGHUP); print(cancel.is_set())\n"
    script += "signal.raise_signal(signal.SIGHUP)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=20,
        preexec_fn=ignoring_hangups,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_exit_codes_are_given_to_the_shell() -> None:
    with pytest.raises(SystemExit) as left:
        main(["version"])
    assert left.value.code == 0
