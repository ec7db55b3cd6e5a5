"""The program in a Job's pod: reads its order, tells progress, and ends with pvserve's own exit codes.

Owns arguments, output and the process's end (docs/sources.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from resource import RUSAGE_SELF, getrusage
from typing import Any

from pvserve.errors import PvserveError, Temporary
from pvserve.transfer import causes
from pvserve.transfer.agent.session import describe

from .job import Progress, carry_out
from .order import Listed, Order

SECRET = "/pvserve-secret"  # noqa: S105 - where the pod mounts it
LAST_WORDS = "/dev/termination-log"
LAST_WORDS_LIMIT = 4096  # bytes that the kubelet takes
TELL_SECONDS = 2.0
TERMINATED = 143
OVERTAKEN = 8  # final for the Job, whose epoch is fixed; a client gives another Job a later one


def main(arguments: Any) -> int:
    """`load ORDER` or `list ORDER`, a JSON object; `-` reads it from stdin.

    `load` also takes `--uri-file`, `--digest-file` and `--bytes-file FILE`, for pipelines that read results there.
    """
    os.umask(0)
    command, text, *files = arguments
    began = time.monotonic()
    text = sys.stdin.read() if text == "-" else text
    progress = Progress()
    order = None
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(TERMINATED))
    try:
        order = Order(json.loads(text), SECRET)
        if command == "list":
            return tell_list(order.listed(order.source(progress.wait_for).rows()))
        threading.Thread(target=_keep_telling, args=(progress, began), daemon=True).start()
        done = carry_out(order, progress)
        _write_results(done, files)
        return _end({"done": True, **done, "peakMemory": getrusage(RUSAGE_SELF).ru_maxrss << 10}, 0)
    except PvserveError as error:
        return _end({"done": False, **error.as_dict()["error"]}, error.exit_code)
    except BaseException as error:  # noqa: BLE001 - the last word must say why
        found = _as_ours(error, order)
        code = OVERTAKEN if found.reason == "Overtaken" else found.exit_code
        return _end({"done": False, **found.as_dict()["error"]}, code)


def _write_results(done: dict[str, Any], files: list[str]) -> None:
    values = {"--uri-file": done["uri"], "--digest-file": done["manifest"], "--bytes-file": done["bytes"]}
    for flag, file in zip(files[::2], files[1::2]):
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as result:
            result.write(str(values[flag]))


def tell_list(listed: Listed) -> int:
    """One line for each file, and one that says that this was all; for the client, which judges it again."""
    listing = listed.listing
    for entry in listing.entries:
        row = [entry.path, entry.size, entry.inode, entry.executable, entry.promised_sha256]
        say({"pvserve": "file", "row": row})
    say(
        {
            "pvserve": "listed",
            "files": len(listing.entries),
            "source": listing.source,
            "name": listing.name,
            "include": list(listing.include),
            "exclude": list(listing.exclude),
            "leftOut": list(listing.left_out)[:50],
            "notes": list(listing.notes),
            "fingerprint": listing.fingerprint,
            "packed": listed.mover is not None,
            "estimated": listed.estimated,
        }
    )
    return 0


def say(value: dict[str, Any]) -> None:
    """One line, whole."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _keep_telling(progress: Progress, began: float) -> None:
    while True:
        say({"pvserve": "progress", **progress.value(), "seconds": round(time.monotonic() - began, 1)})
        time.sleep(TELL_SECONDS)


def _end(result: dict[str, Any], code: int) -> int:
    """Say how it went where a log reader and where the pod's status find it."""
    line = {"pvserve": "result", **result}
    with contextlib.suppress(OSError), open(LAST_WORDS, "w", encoding="ascii") as file:
        text = json.dumps(line)
        if len(text) > LAST_WORDS_LIMIT:
            line["detail"], line["message"] = "", str(line.get("message", ""))[:1000]
            text = json.dumps(line)
        file.write(text[:LAST_WORDS_LIMIT])
    say(line)
    sys.stdout.flush()
    os._exit(code)  # threads that hang in a read have nothing more to say


def _as_ours(error: BaseException, order: Order | None) -> PvserveError:
    if isinstance(error, MemoryError):
        return Temporary("OutOfMemory", "the pod ran out of memory")
    if order is None:
        return PvserveError("AgentFailed", f"the order cannot be read: {type(error).__name__} {error}"[:500])
    return causes.failure(describe(error, None), order.target)
