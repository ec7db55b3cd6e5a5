"""The command `pvserve`: names of the commands, and the one place that catches errors.

Owns dispatch and exit codes. Commands are imported only when called, so that `--help` stays fast.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from pvserve.cli import interrupts
from pvserve.cli.output import Output, wanted_output
from pvserve.errors import Interrupted, PvserveError, UsageError
from pvserve.version import __version__

COMMANDS = {
    "deploy": "Put a model on a claim, serve it from there, and prove it.",
    "plan": "Show what deploy would do; changes nothing.",
    "diff": "Show how the cluster differs from the model file.",
    "load": "Bring a model directory onto a claim; bytes only.",
    "serve": "Make the serving objects for a model that is on a claim already.",
    "verify": "Prove that a service serves from its claim, or that a claim holds its model.",
    "rollback": "Take a service back to what it was before pvserve.",
    "retain": "Keep the data of a claim when the claim goes.",
    "release": "Delete a claim; its volume and the data on it stay.",
    "adopt": "Make a Released volume a claim again.",
    "resize": "Give a claim more room.",
    "rm": "Remove a model that nobody uses from its claim.",
    "clone": "Make a claim with what another holds now, by the storage system.",
    "gc": "List what nobody refers to any more, and remove it.",
    "share": "Give another namespace the data of a claim, read-only.",
    "unshare": "Take a share away again.",
    "status": "Show a service, its pods and its claim; or a load that a Job does.",
    "logs": "Show what a Job says that fetches a model.",
    "cancel": "End a load that a Job does.",
    "clean": "Record and remove the Jobs that have ended.",
    "ls": "List claims, the models on them, and who serves them.",
    "doctor": "Say what is wrong with a service, and what to do.",
    "render": "Write the plan as files for GitOps.",
    "init": "Write a model.yaml from a service that the UI made.",
    "schema": "Print the JSON Schema of model.yaml.",
    "version": "Print the version.",
}
PLUGIN_PREFIXES = ("kubectl-", "oc-")


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
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = _nearest(args[0])
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)

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
    argv = (sys.argv[1:] if args is None else args) or ["--help"]
    _fill_closed_streams()
    interrupts.stop_on_signals()
    try:
        code = _code_of(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_quietly()
        code = 1  # what was asked for has not been read
    sys.exit(code)


def _code_of(argv: list[str]) -> int:
    """Runs the command; every error becomes its words and its code."""
    try:
        return root.main(args=argv, prog_name=_program_name(), standalone_mode=False) or 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _report(UsageError("Usage", error.format_message(), remedy=_help_hint(error)), argv)
    except (click.Abort, KeyboardInterrupt):
        _report(Interrupted("Interrupted", "stopped; the same command resumes"), argv)
        return interrupts.exit_code()
    except Interrupted as error:
        _report(error, argv)
        return interrupts.exit_code()
    except PvserveError as error:
        return _report(error, argv)
    except BrokenPipeError:
        raise
    except Exception as error:
        if {"-v", "--verbose"} & set(argv):
            raise
        return _report(_internal(error), argv)


def _internal(error: Exception) -> PvserveError:
    return PvserveError(
        "InternalError",
        f"pvserve itself is at fault: {type(error).__name__}: {error}",
        remedy=("run the same command with -v for the traceback, and report it",),
    )


def _fill_closed_streams() -> None:
    """Streams that the caller closed (`>&-`) lead nowhere: else the next file that is opened would be one of them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            if nowhere != number:
                os.close(nowhere)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 - open for good


def _leave_quietly() -> None:
    """Nobody reads our output any more; Python would complain of it once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


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
    from pvserve.show.errors import error_text
    from pvserve.show.words import colours

    output = Output(wanted_output(argv))
    if output.for_machines:
        output.say("error", error.as_dict())
    else:
        print(error_text(error, colour=colours(sys.stderr)), end="", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
