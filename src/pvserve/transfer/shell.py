"""A load, and a look, through a pod that has no Python: short commands of its shell, each proven by a digest.

Owns what `remote.sh` is told and what its answers mean. Slower than the agent, leaves the same on the volume. Must not
replace other content: without an exchange of two names there would be a moment with neither.
"""

from __future__ import annotations

import re

PART = 32 << 20
SMALL = 1 << 20
PACK_BYTES, PACK_FILES = 16 << 20, 500
RUN_SECONDS = 300.0
_SUM = re.compile(rb"\\?([0-9a-f]{64}) ")
_STAT = re.compile(rb"(\d+) (\d+)")
