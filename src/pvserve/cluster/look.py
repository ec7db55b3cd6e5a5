"""A cluster as many plans look at it: what was asked once is not asked again.

Owns remembering answers to reads, of one run. Must not remember what changes something, nor decide anything.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from pvserve.cluster.client import Cluster
from pvserve.cluster.failures import Response
from pvserve.cluster.rest import Json
from pvserve.facts import Object, Right, Unknown
from pvserve.facts import name as name_of

T = TypeVar("T")
NAMED = "metadata.name="
FEW = 8  # names that are asked for one by one: a list of all may be long
# What every model of a run has of its own, by name, in its namespace. Never Secrets: a list holds what is in them.
OF_A_MODEL = frozenset({"InferenceService", "PersistentVolumeClaim", "ServingRuntime"})


class Look(Cluster):
    """One look at `cluster`: of plans that ask the same at the same time, one asks and all have its answer.

    A read that failed fails for all of them. The same dry run is made once; what writes goes to the server each time.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster._transport, cluster.namespace)
        self._rest = cluster._rest
        self._plain = cluster
        self._seen: dict[Hashable, Future[Any]] = {}
        self._asking = threading.Lock()
        self._named: defaultdict[Hashable, itertools.count[int]] = defaultdict(lambda: itertools.count(1))

    def anew(self) -> Cluster:
        """Without this look's memory."""
        return self._plain.within(self.namespace)

    def version(self) -> str:
        """As the cluster says."""
        return self._once(("version",), super().version)

    def serves(self, api_version: str) -> bool | Unknown:
        """As the cluster says."""
        return self._once(("serves", api_version), lambda: super(Look, self).serves(api_version))

    def can(self, right: Right, name: str = "") -> bool | Unknown:
        """As the cluster says."""
        return self._once(("can", right, name), lambda: super(Look, self).can(right, name))

    def find_all(
        self, api_version: str, kind: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> tuple[Json, ...] | Unknown:
        """As the cluster says; one name after the other out of one list, where it is asked for more than a FEW."""
        name = field_selector.removeprefix(NAMED)
        if name != field_selector and not label_selector and self._many(api_version, kind, namespace):
            found = self.find_all(api_version, kind, namespace)
            return found if isinstance(found, Unknown) else tuple(item for item in found if name_of(item) == name)
        selectors = {"label_selector": label_selector, "field_selector": field_selector}
        return self._once(
            ("list", api_version, kind, namespace, label_selector, field_selector),
            lambda: super(Look, self).find_all(api_version, kind, namespace, **selectors),
        )

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Response:
        """As the cluster says, where it is a plain GET."""
        if method != "GET" or body is not None or headers:
            return super().raw(method, path, body, headers, timeout)
        return self._once(("raw", path), lambda: super(Look, self).raw(method, path, timeout=timeout))

    def apply(self, obj: Object, *, dry_run: bool = False, force: bool = False) -> Json:
        """As the cluster says; several plans may make the same class."""
        if not dry_run:
            return super().apply(obj, force=force)
        asked = json.dumps(obj, sort_keys=True, default=dict)
        return self._once(("dry run", force, asked), lambda: super(Look, self).apply(obj, dry_run=True, force=force))

    def _perhaps(
        self, api_version: str, kind: str, name: str, namespace: str, *, metadata_only: bool
    ) -> Json | Unknown | None:
        where = namespace or self.namespace
        question = ("get", api_version, kind, where, name, metadata_only)
        new = kind in OF_A_MODEL and not metadata_only and question not in self._seen
        if new and self._many("get", api_version, kind, where):
            found = self.find_all(api_version, kind, where)
            if not isinstance(found, Unknown):  # else one by one: to get may be allowed where to list is not
                return self._by_name(found, question[1:4]).get(name)
        return self._once(
            question,
            lambda: super(Look, self)._perhaps(api_version, kind, name, where, metadata_only=metadata_only),
        )

    def _many(self, *kind: Hashable) -> bool:
        """Whether so many names of a kind have been asked for that a list is shorter; counts this one."""
        with self._asking:
            return next(self._named[kind]) > FEW

    def _by_name(self, listed: Sequence[Json], kind: Hashable) -> dict[str, Json]:
        return self._once(("by name", kind), lambda: {name_of(item): item for item in listed})

    def _once(self, question: Hashable, ask: Callable[[], T]) -> T:
        with self._asking:
            asked = self._seen.get(question)
            mine: Future[Any] = Future()
            if asked is None:
                self._seen[question] = mine
        if asked is None:
            try:
                mine.set_result(ask())
            except BaseException as error:
                mine.set_exception(error)
                raise
        answer: T = (asked or mine).result()
        return answer
