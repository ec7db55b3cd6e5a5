"""The load step's command line: `load --from DIR --to PATH --claim CLAIM …`.

Owns arguments, the result as JSON and as files, and exit codes, which are pvserve's own (docs/exit-codes.md).
Prints: it is a program.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pvserve.errors import PvserveError
from pvserve.events import Event, Transfer
from pvserve.model import manifest_digest
from pvserve.transfer.step.loading import Directory, Done, Order, load
from pvserve.transfer.values import Target

VALUES = ("uri", "digest", "bytes")  # each also as a file of its own, for Tekton, Argo and Kubeflow


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code."""
    os.umask(0)  # modes on the volume are the agent's to choose
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # the first process of a container has no default for it
    asked = _parser().parse_args(arguments)
    try:
        value, code = _result(asked, load(_order(asked), _say)), 0
    except PvserveError as error:
        value, code = error.as_dict(), error.exit_code
    except Exception as error:  # noqa: BLE001 - a program's last words
        value, code = _unforeseen(error), 1
    _write(asked, value)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pvserve-load", description="Load a model onto a claim that this pod mounts.")
    parser.add_argument("command", choices=["load"])
    add = parser.add_argument
    add("--from", dest="source", required=True, help="the model directory, in this pod")
    add("--within", help="where its links may lead: a directory above it; default: the directory itself")
    add("--source-name", default="", help="what the manifest calls the source, as pvc://CLAIM/PATH")
    add("--to", required=True, help="the path on the claim")
    add("--mount", default="/claim", help="where the claim is mounted")
    add("--claim", required=True, help="its name")
    add("--include", action="append", default=[])
    add("--exclude", action="append", default=[])
    add("--replace", action="store_true", help="other content at the path may be replaced")
    add("--expect", default="", help="the manifest's digest: nothing else is published")
    add("--epoch", type=int, default=0, help="of a Lease that is held for this load")
    add("--result", action="append", default=[], help="write the result here as JSON")
    for name in VALUES:
        add(f"--{name}-file", help=f"write the result's {name} here")
    return parser


def _order(asked: argparse.Namespace) -> Order:
    within = os.path.realpath(asked.within or asked.source)
    below = os.path.relpath(os.path.realpath(asked.source), within)
    words = asked.source_name or asked.source
    return Order(
        Directory("" if below == "." else below, asked.claim, within, words),
        Target(asked.to, asked.claim, asked.mount),
        asked.include,
        asked.exclude,
        asked.replace,
        asked.epoch,
        asked.expect,
    )


def _result(asked: argparse.Namespace, done: Done) -> dict[str, Any]:
    manifest = done.manifest
    return {
        "uri": f"pvc://{asked.claim}/{asked.to}",
        "digest": manifest_digest(manifest),
        "bytes": manifest.bytes,
        "files": len(manifest.entries),
        "copied": done.copied,
        "unchanged": not done.copied,
    }


def _unforeseen(error: Exception) -> dict[str, Any]:
    detail = "".join(traceback.format_exception(type(error), error, error.__traceback__))[-2000:]
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename or 'the volume'}: {error.strerror}"
    else:
        message = f"{type(error).__name__}: {error}"
    return PvserveError("LoadFailed", message, detail=detail, remedy=("run the step again; it goes on",)).as_dict()


def _write(asked: argparse.Namespace, value: dict[str, Any]) -> None:
    text = json.dumps(value)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    for file in asked.result:
        Path(file).write_text(text, encoding="utf-8")
    for name in VALUES if "uri" in value else ():
        file = getattr(asked, f"{name}_file")
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(str(value[name]), encoding="utf-8")


def _say(event: Event) -> None:
    if isinstance(event, Transfer):
        waiting = f", waiting for {event.waiting_for}" if event.waiting_for else ""
        sys.stderr.write(f"{event.phase}: {event.bytes_done} of {event.bytes_total} bytes{waiting}\n")
        sys.stderr.flush()
