"""Small files read back by a process beside the agent: the same answers whoever gives them, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In an interpreter of its own: the agent forks while it has one thread, and pytest has several.
PRELUDE = """
import contextlib, errno, hashlib, os, socket, sys
from pvserve.transfer.agent import aside

turns = []

@contextlib.contextmanager
def turn():
    turns.append(1)
    yield

def opened(sizes):
    handles = []
    for number, size in enumerate(sizes):
        with open(str(number), "wb") as file:
            file.write(os.urandom(size))
        handles.append(os.open(str(number), os.O_RDONLY))
    return handles

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(word) for word in file.read().split()]

def right(answers, count):
    for number, (inode, code, digest) in enumerate(answers):
        with open(str(number), "rb") as file:
            assert (inode, code, digest) == (os.stat(str(number)).st_ino, 0, hashlib.sha256(file.read()).digest())
    assert len(answers) == count

server = socket.create_server(("127.0.0.1", 0))
beside = aside.start(server)
[child] = children()
sizes = [0, 1, 4096, 4097, 1 << 18] * 40
handles = opened(sizes)
assert len(sizes) == aside.FILES
"""

CASES = {
    "it answers, and not the asking process": """
right(beside.read_back(handles, sizes, turn()), len(sizes))
right(beside.read_back(handles, sizes, turn()), len(sizes))
assert not turns
right(aside.Aside().read_back(handles, sizes, turn()), len(sizes))
assert len(turns) == 1
""",
    "a file of another size than was written is told, and no other": """
sizes[3] += 1
answers = beside.read_back(handles, sizes, turn())
assert answers[3][:2] == (0, errno.EIO)
assert [code for _, code, _ in answers if code] == [errno.EIO] and not turns
""",
    "where it was killed the asking process reads": """
os.kill(child, 9)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
right(beside.read_back(handles, sizes, turn()), len(sizes))
assert len(turns) == 1
""",
    "it ends with who asks, and holds nothing of theirs": """
right(beside.read_back(handles, sizes, turn()), len(sizes))
for name in os.listdir(f"/proc/{child}/fd"):
    with contextlib.suppress(FileNotFoundError):  # the files of the question are being closed
        assert os.readlink(f"/proc/{child}/fd/{name}") != os.readlink(f"/proc/self/fd/{server.fileno()}")
beside._talk.close()
assert os.waitpid(child, 0) == (child, 0)
""",
}


@pytest.mark.parametrize("case", CASES)
def test_small_files_are_read_back_beside(case: str, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + CASES[case]], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
