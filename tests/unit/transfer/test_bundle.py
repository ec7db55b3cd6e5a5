"""The agent as it is handed to a pod: as text to any Python, compiled to one of the client's own version."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pvserve.transfer import bundle
from pvserve.transfer.agent.frames import BYE, HELLO, VERSION, Wire

TAG = bundle._TAG


def answered(first: bytes) -> dict[str, object]:
    """What an agent that reads `first` says to its client."""
    said = bytearray()
    wire = Wire(lambda _: 0, said.extend, guard=True)
    wire.send_json(HELLO, {"version": VERSION, "heard": ""})
    wire.send(BYE)
    argv = [sys.executable, *bundle.agent_command("")[1:]]
    done = subprocess.run(argv, input=first + bytes(said), capture_output=True, check=True, timeout=60)
    left = memoryview(done.stdout)

    def read_into(view: memoryview) -> int:
        nonlocal left
        count = min(len(view), len(left))
        view[:count], left = left[:count], left[count:]
        return count

    found: dict[str, object] = Wire(read_into, lambda _: None, guard=True).expect(HELLO).json()
    return found


def test_a_python_of_this_version_reads_no_text() -> None:
    text = bundle.agent_source().encode()
    first = bundle.agent_input()
    assert first.endswith(text)
    assert answered(first[: -len(text)] + b"(" * len(text)) == {"version": VERSION}


@pytest.mark.parametrize("tag", ["", "cpython-3xx0000"])
def test_any_other_compiles_the_text(tag: str) -> None:
    code = bundle.agent_input()[TAG:]
    size = int(code[:8], 16)
    damaged = code[:8] + b"\0" * size + code[8 + size :]
    assert answered(tag.encode().ljust(TAG) + damaged) == {"version": VERSION}
