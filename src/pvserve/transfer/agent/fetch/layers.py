"""Which members of which layer are the files of a model: an archive is one layer, an image has many.

Owns whiteouts, what hides what, links, and which names are refused. Layers are asked from the top down, so that a
file that another one hides is never written. Source: https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

from __future__ import annotations

import posixpath
from typing import Any, Iterator, NamedTuple

from pvserve.errors import Refused
from pvserve.model.contain import fault as name_fault
from pvserve.model.contain import shown
from pvserve.model.filters import Filter
from pvserve.model.listing import unloadable
from pvserve.model.walk import Fault

from .members import DIRECTORY, FILE, HARD, Member

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
FILES_LIMIT = 1_000_000
LINKS = 40  # links that lead to links


class Root(NamedTuple):
    """Where in a layer the model lies (`below`), and where below the model that goes (`into`).

    `within`: nothing may lie elsewhere in it. `layered`: whiteouts mean something.
    """

    below: str = ""
    into: str = ""
    within: bool = True
    layered: bool = False


class Link(NamedTuple):
    """A name that is to become a copy of a file."""

    path: str
    target: str  # below the root of the archive or image
    of_layer: int  # a hard link is to a file of its own layer; -1: to whatever lies there in the end


class Tree:
    """What has been found so far."""

    def __init__(self, words: str, chosen: Filter) -> None:
        self._words = words
        self._chosen = chosen
        self.files: dict[str, int] = {}  # of each taken name its layer; links too
        self.links: dict[str, Link] = {}
        self.left_out: dict[str, None] = {}
        self._directories: set[str] = set()
        self._gone: set[str] = set()  # by whiteouts of upper layers
        self._opaque: set[str] = set()
        self._layer = 0
        self._fresh: dict[str, str] = {}  # of this layer: name and kind
        self._marks: list[tuple[str, bool]] = []

    def begin(self, layer: int) -> None:
        """The next layer below."""
        for path, opaque in self._marks:
            (self._opaque if opaque else self._gone).add(path)
        self._directories |= {path for path, kind in self._fresh.items() if kind == DIRECTORY}
        self._layer, self._fresh, self._marks = layer, {}, []

    def forget(self) -> None:
        """This layer is read once more."""
        for path in self._fresh:
            if self.files.get(path) == self._layer:
                del self.files[path]
                self.links.pop(path, None)
        self._fresh, self._marks = {}, []

    def takes(self, member: Member, root: Root) -> str:
        """The path below the model under which a file is to be written; "" where it is not, as of links.

        Raises Refused for what cannot be loaded.
        """
        parent, _, name = member.path.rpartition("/")
        if root.layered and name.startswith(WHITEOUT):
            self._mark(parent, name, root)
            return ""
        path = _placed(member.path, root)
        if path is None:
            if root.within and member.path:
                raise self._unloadable(member.path, f"lies outside of the directory {shown(root.below)}")
            return ""
        if member.path in ("", root.below):
            if member.kind != DIRECTORY:
                raise self._unloadable(member.path, "is no directory")
            return ""
        if self._hidden(path, member.kind):
            if not root.layered:
                raise self._unloadable(path, "is in it twice")
            return ""
        return self._judged(path, member, root)

    def resolved(self) -> Iterator[tuple[str, str]]:
        """Of each link its path and that of the file that it is a copy of. Raises Refused where there is none."""
        for link in self.links.values():
            path = link.target
            for _ in range(LINKS):
                further = self.links.get(path)
                if further is None:
                    break
                path = further.target
            whose = self.files.get(path, -1)
            if path in self.links or whose < 0 or (link.of_layer >= 0 and whose != link.of_layer):
                raise self._unloadable(
                    link.path, f"is a link to {shown(link.target)}, which is none of the files that are loaded"
                )
            yield link.path, path

    def _judged(self, path: str, member: Member, root: Root) -> str:
        if self._chosen_out(path, member.kind):
            return ""
        why = name_fault(path) or member.fault or self._conflict(path, member.kind)
        if why:
            raise self._unloadable(path, why)
        self._fresh[path] = member.kind
        for above in _above(path):
            self._fresh.setdefault(above, DIRECTORY)
        if member.kind == DIRECTORY:
            return ""
        if len(self.files) >= FILES_LIMIT:
            raise self._unloadable(path, f"is one too many: {FILES_LIMIT} files are loaded at most")
        self.files[path] = self._layer
        if member.kind == FILE:
            return path
        self.links[path] = self._link(path, member, root)
        return ""

    def _link(self, path: str, member: Member, root: Root) -> Link:
        where = member.target
        if member.kind != HARD:
            here = posixpath.join("/", posixpath.dirname(member.path))
            where = posixpath.normpath(posixpath.join(here, where)).lstrip("/")
        target = _placed(where, root)
        if not target or name_fault(target):
            raise self._unloadable(path, f"is a link that leaves the model directory, to {shown(member.target)}")
        return Link(path, target, self._layer if member.kind == HARD else -1)

    def _mark(self, parent: str, name: str, root: Root) -> None:
        """Of whiteouts at or above the model's directory, and below it."""
        opaque = name == OPAQUE
        if not opaque and name.startswith(WHITEOUT * 2):
            return
        gone = parent if opaque else f"{parent}/{name[len(WHITEOUT) :]}".lstrip("/")
        path = _placed(gone, root)
        if path is not None:
            self._marks.append((path, opaque or not path))
        elif not gone or root.below.startswith(gone + "/"):
            self._marks.append(("", True))

    def _hidden(self, path: str, kind: str) -> bool:
        """Whether an upper layer hides it."""
        if path in self._gone or ((path in self._directories) and kind != DIRECTORY):
            return True
        if path in self.files and path not in self._fresh:
            return True
        for above in (*_above(path), ""):
            upper = above in self.files and above not in self._fresh
            if above in self._opaque or above in self._gone or upper:
                return True
        return False

    def _chosen_out(self, path: str, kind: str) -> bool:
        above = [*reversed(list(_above(path)))]
        out = next((name for name in above if self._chosen.leaves_out(name)), "")
        if out:
            self.left_out[out + "/"] = None
            return True
        if self._chosen.leaves_out(path):
            self.left_out[path + ("/" if kind == DIRECTORY else "")] = None
            return True
        if kind != DIRECTORY and not self._chosen.takes(path):
            self.left_out[path] = None
            return True
        return False

    def _conflict(self, path: str, kind: str) -> str:
        before = self._fresh.get(path)
        if before and (before != DIRECTORY or kind != DIRECTORY):
            return "is in it twice"
        if any(self._fresh.get(above, DIRECTORY) != DIRECTORY for above in _above(path)):
            return "lies below a name that is no directory"
        return ""

    def _unloadable(self, path: str, why: str) -> Refused:
        return unloadable(self._words, [Fault(path, why)])

    # What is written down of a layer that is whole, for a Job that goes on

    def noted(self) -> dict[str, Any]:
        """This layer, as JSON."""
        return {
            "fresh": self._fresh,
            "marks": self._marks,
            "links": [link for link in self.links.values() if self.files.get(link.path) == self._layer],
            "leftOut": list(self.left_out),
        }

    def take_noted(self, value: dict[str, Any]) -> None:
        """What `noted` said of this layer."""
        self._fresh = {str(path): str(kind) for path, kind in value["fresh"].items()}
        self._marks = [(str(path), bool(opaque)) for path, opaque in value["marks"]]
        self.files.update({path: self._layer for path, kind in self._fresh.items() if kind != DIRECTORY})
        self.links.update({str(link[0]): Link(*link) for link in value["links"]})
        self.left_out.update(dict.fromkeys(value["leftOut"]))


def _placed(path: str, root: Root) -> str | None:
    """A path of the archive as one below the model; None where it lies elsewhere."""
    if root.below and path != root.below:
        if not path.startswith(root.below + "/"):
            return None
        path = path[len(root.below) + 1 :]
    elif root.below:
        path = ""
    return f"{root.into}/{path}".strip("/") if root.into else path


def _above(path: str) -> Iterator[str]:
    """The directories above a path, the nearest first."""
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        yield path
