"""The command `pvserve`: names of the commands, and the one place that catches errors.

Owns dispatch and exit codes. Commands are imported only when called, so that `--help` stays fast.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from pvserve import __version__
from pvserve.errors import Interrupted, PvserveError, UsageError

COMMANDS = {
    "deploy": "Put a model on a claim, serve it from there, and prove it.",
    "plan": "Show what deploy would do; changes nothing.",
    "load": "Bring a model directory onto a claim; bytes only.",
    "serve": "Make the serving objects for a model that is on a claim already.",
    "verify": "Prove that a service serves from its claim, or that a claim holds its model.",
    "rollback": "Take a service back to what it was before pvserve.",
    "status": "Show a service, its pods and its claim.",
    "ls": "List claims, the models on them, and who serves them.",
    "doctor": "Say what is wrong with a service, and what to do.",
    "render": "Write the plan as files for GitOps.",
    "init": "Write a model.yaml from a service that the UI made.",
    "schema": "Print the JSON Schema of model.yaml.",
    "version": "Print the version.",
}
PLUGIN_PREFIXES = ("kubectl-", "oc-")
SIGTERM_EXIT = 143


class _Lazy(click.Group):
    """A group whose commands live in modules of their own, imported when needed."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"pvserve.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = _nearest(args[0])
            if near:
                error.message += f" Did you mean {near}?"
            raise

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _nearest(word: str) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(word, COMMANDS, 1)), None)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pvserve")
def root() -> None:
    """Serve machine-learning models with KServe straight from a PersistentVolumeClaim.

    \b
    pvserve deploy ./granite-7b-lab --from granite --name granite-pvc --claim vllm-model-cache -n llm
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Runs one command and exits with its documented code (docs/exit-codes.md)."""
    argv = sys.argv[1:] if args is None else args
    signal.signal(signal.SIGTERM, _as_interrupt)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _as_interrupt)
    try:
        code = root.main(args=argv, prog_name=_program_name(), standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        code = _report(UsageError("Usage", error.format_message(), remedy=_help_hint(error)), argv)
    except (click.Abort, KeyboardInterrupt):
        code = _report(Interrupted("Interrupted", "stopped; the same command resumes"), argv)
    except PvserveError as error:
        code = _report(error, argv)
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    sys.exit(SIGTERM_EXIT if code == Interrupted.exit_code and _terminated else code or 0)


_terminated = False


def _as_interrupt(number: int, _frame: FrameType | None) -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: cleanly, resumable."""
    global _terminated
    _terminated = number == signal.SIGTERM
    raise KeyboardInterrupt


def _program_name() -> str:
    name = os.path.basename(sys.argv[0])
    for prefix in PLUGIN_PREFIXES:
        if name.startswith(prefix):
            return f"{prefix[:-1]} pvserve"
    return "pvserve"


def _help_hint(error: click.ClickException) -> tuple[str, ...]:
    context = getattr(error, "ctx", None)
    return (f"{context.command_path} --help",) if context else ()


def _report(error: PvserveError, argv: list[str]) -> int:
    from pvserve.show.proof import error_text
    from pvserve.show.words import colours

    if _wants_json(argv):
        print(json.dumps({"type": "error", **error.as_dict()}))
    else:
        print(error_text(error, colour=colours(sys.stderr)), end="", file=sys.stderr)
    return error.exit_code


def _wants_json(argv: list[str]) -> bool:
    """Whether the failing command was called with -o json: it may have failed before its flags were read."""
    pairs: Any = zip(argv, [*argv[1:], ""], strict=True)
    return any(
        (flag in ("-o", "--output") and value == "json") or flag in ("-ojson", "--output=json") for flag, value in pairs
    )


if __name__ == "__main__":
    main()
