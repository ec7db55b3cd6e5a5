"""Which files of a model directory are taken.

Owns the patterns and their meaning; knows nothing of the file system.

Patterns are shell-style, matched against the whole path below the model directory; `*` also matches `/`, as in
`hf download --include/--exclude`. A pattern that matches a directory holds for everything below it.
With `include`, only files that match one of its patterns are taken. `exclude` always wins.
What is left out by default matches a name at any depth; an include pattern that begins with such a default
(`--include '*.lock'`, `--include '.git/*'`) lifts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate

# Never part of a model: history, download bookkeeping, lock files, and pvserve's own directory on a claim.
DEFAULT_LEFT_OUT = (".git", ".cache/huggingface", "*.lock", ".pvserve")


class Filter:
    """Decides by path. Directories are asked first; below one that is left out nothing is asked."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.include = tuple(include)
        self.exclude = tuple(exclude)
        defaults = [rule for rule in DEFAULT_LEFT_OUT if not any(pattern.startswith(rule) for pattern in include)]
        self._out = _compiled([*exclude, *(form for rule in defaults for form in (rule, f"*/{rule}"))])
        self._in = _compiled(include)

    def leaves_out(self, path: str) -> bool:
        """Whether the file or directory `path` is left out by name, whatever `include` says."""
        return self._out is not None and self._out.match(path) is not None

    def takes(self, path: str) -> bool:
        """Whether the file `path`, not left out by name, is taken: it or a directory above it is included."""
        return self._in is None or any(self._in.match(prefix) for prefix in _prefixes(path))

    def idle(self, taken: Iterable[str], left_out: Iterable[str]) -> tuple[str, ...]:
        """The user's patterns that matched nothing, which is mostly a slip of the pen."""
        names = {prefix for path in taken for prefix in _prefixes(path)} if self.include else set()
        hidden = [path.rstrip("/") for path in left_out]
        unused_in = [pattern for pattern in self.include if not _any(pattern, names)]
        return (*unused_in, *(pattern for pattern in self.exclude if not _any(pattern, hidden)))


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for all patterns, or None for none."""
    parts = [translate(pattern.rstrip("/")) for pattern in patterns]
    return re.compile("|".join(parts)) if parts else None


def _any(pattern: str, names: Iterable[str]) -> bool:
    match = re.compile(translate(pattern.rstrip("/"))).match
    return any(match(name) for name in names)


def _prefixes(path: str) -> Iterator[str]:
    """`path` and every directory above it."""
    yield path
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path
