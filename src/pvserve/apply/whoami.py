"""Who this process is, in words that another machine can read, and whether a process of such words still runs.

Owns the words and the machine's mark. Must not know what they are written on.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import socket
import uuid
from pathlib import Path


def whoami() -> str:
    """Who writes, in words for the one who has to wait."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a random uid without a passwd entry, as on OpenShift
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


def machine() -> str:
    """What tells this machine's processes from others of the same host name: boot and pid namespace, hashed."""
    seen = []
    with contextlib.suppress(OSError):
        seen = [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256("".join(seen or [f"{uuid.getnode():x}"]).encode()).hexdigest()[:16]


def has_died(identity: str, me: str) -> bool:
    """Whether `identity`, words of this very machine, is a process of this user (`me`) that no longer runs."""
    user, _, pid = identity.rpartition(" pid ")
    if user != me.rpartition(" pid ")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
