"""Pages whose commands are run: what stands in them, how it is run, and what is compared.

A page's `console` blocks hold commands after `$ ` and what they print; `…` there stands for anything, also for lines.
Its `python` blocks are the cells of one notebook. Names of the page (namespace, images) are replaced by those of the
test, and back in what is printed.
"""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANY = "…"
ROOT = Path(__file__).parents[2]
NORMAL = (
    (re.compile(r"sha256:[0-9a-f]{12,64}"), "sha256:DIGEST"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UID"),
    (re.compile(r"(-predictor)-[0-9a-f]{6,10}-[a-z0-9]{5}\b"), r"\1-POD"),
    (re.compile(r"\b[0-9a-f]{12}$", re.MULTILINE), "DIGEST"),
    (re.compile(r"\bpvserve-load-[0-9a-f]{12}\b"), "pvserve-load-DIGEST"),
    (re.compile(r"(\dGi +)(-|[\d.]+ [KMG]iB)(  )"), r"\1FREE\3"),
    # A copy of the class may be there from another namespace's run: with it the steps have other numbers.
    (re.compile(r"^(\d+\. )?copy class .*\n(   .*\n)*", re.MULTILINE), ""),
    (re.compile(r"^   unchanged: class .*\n", re.MULTILINE), ""),
    (re.compile(r"^(\S+/storageclass\.yaml|storageclass\.storage\.k8s\.io/.*)\n", re.MULTILINE), ""),
    # So may a claim of the same name in another namespace.
    (re.compile(r"^.*\ba claim \S+ exists in namespace .*\n", re.MULTILINE), ""),
    (re.compile(r"^\d+\. ", re.MULTILINE), "- "),
    (re.compile(r"\b\d+ steps$", re.MULTILINE), "N steps"),
)


@dataclass(frozen=True)
class Command:
    """One command of a page and the lines that it should print."""

    line: int
    text: str
    expected: tuple[str, ...] = ()


def commands(page: Path) -> list[Command]:
    """The commands of all console blocks, in order."""
    found: list[Command] = []
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console" if not inside else False
        elif inside and line.startswith("$ "):
            found.append(Command(number, line[2:]))
        elif inside:
            last = found[-1]
            found[-1] = Command(last.line, last.text, (*last.expected, line))
    return found


def cells(page: Path) -> list[str]:
    """The python blocks, in order."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@dataclass
class Session:
    """Where a page is run: a copy of the repository's examples, with the test's names in place of the page's."""

    directory: Path
    names: Mapping[str, str]  # of the page -> of the test
    environment: Mapping[str, str]
    where: Path = field(init=False)

    def __post_init__(self) -> None:
        self.where = self.directory
        for source in sorted((ROOT / "examples").rglob("*")):
            target = self.directory / "examples" / source.relative_to(ROOT / "examples")
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(self.named(source.read_text(encoding="utf-8")), encoding="utf-8")

    def run(self, command: str) -> str:
        """What the command prints on stdout, in the page's words. Fails when it ends with another code than 0."""
        if command.startswith("cd "):
            self.where = (self.where / command[3:]).resolve(strict=True)
            return ""
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", self.named(command)],
            cwd=self.where,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return self.normal(done.stdout)

    def cell(self, code: str, names: dict[str, Any]) -> str:
        """What a notebook's cell prints, and its last value, in the page's words."""
        tree = ast.parse(self.named(code))
        out = io.StringIO()
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        with redirect_stdout(out):
            exec(compile(tree, "cell", "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
                if value is not None:
                    print(value)
        return self.normal(out.getvalue())

    def named(self, text: str) -> str:
        """The text with the test's names."""
        return _replaced(text, self.names)

    def normal(self, text: str) -> str:
        """The text with the page's names, without what differs from run to run."""
        text = _replaced(text, {theirs: ours for ours, theirs in self.names.items()})
        text = text.replace(str(self.directory), "HERE")
        for pattern, word in NORMAL:
            text = pattern.sub(word, text)
        return _without_evidence(text)


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for ours, theirs in names.items():
        text = re.sub(rf"(?<![\w.-]){re.escape(ours)}(?![\w-])", theirs, text)
    return text


def _without_evidence(text: str) -> str:
    """Checks of a proof without what was seen: it names nodes, times and sizes. Tables without their widths."""
    lines = [line for line in text.splitlines() if not line.startswith(" " * 10)]
    return "".join(f"{re.sub(r'   +', '   ', line) if line[:1].strip() else line}\n" for line in lines)


def lacking(expected: tuple[str, ...], printed: str) -> Iterator[str]:
    """Lines of the page that were not printed, in its order; lines of `…` alone stand for any number of lines."""
    left = iter([line.strip() for line in printed.splitlines()])
    for line in expected:
        wanted = line.strip()
        if wanted in ("", ANY):
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in re.sub(r"\s+", " ", wanted).split(ANY)))
        if not any(pattern.fullmatch(re.sub(r"\s+", " ", found)) for found in left):
            yield line
