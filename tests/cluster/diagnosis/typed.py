"""The commands of a finding's remedy, as a user copies them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

from pvserve.diagnose import Finding
from tests.cluster.offers import lacking

from .stage import Seen

COMMAND = re.compile(r"(?:^|: )((?:kubectl|pvserve) .*)")


def commands(finding: Finding) -> list[str]:
    """The commands among the lines of a remedy, without the words before them and the reason behind."""
    found = (COMMAND.search(line) for line in finding.remedy)
    return [match[1].split("   # ")[0] for match in found if match]


def typed(command: str) -> subprocess.CompletedProcess[str]:
    """Runs the line in a shell, with `pvserve` as it is here; skips where there is no kubectl."""
    if shutil.which("kubectl") is None:
        lacking("kubectl is not in PATH: the remedies cannot be tried")
    ours = f"{sys.executable} -m pvserve.cli.main"
    line = re.sub(r"^pvserve", ours, command)
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)


def that(seen: Seen, words: str) -> str:
    """The one command of the first finding that holds `words`."""
    [found] = [command for command in commands(seen.first) if words in command]
    return found
