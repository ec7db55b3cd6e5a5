"""Requests for objects, answered as JSON or as a typed error.

Owns where kinds are (asking discovery for those not in the table), paging, and what counts as an answer. Must not
decide anything about what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from pvserve.cluster.failures import NotFound, Response, failure
from pvserve.cluster.kinds import KNOWN, Resource, api_path, discovered
from pvserve.cluster.request import Request, page, watching
from pvserve.cluster.transport import Transport
from pvserve.errors import PvserveError

Json = dict[str, Any]
STREAM_SLACK = 5.0  # seconds that a watch may end late
LIST_ATTEMPTS = 5  # a list that expires on the way begins anew


class Rest:
    """The API server's objects over one transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.server = transport.login.server
        self._found: dict[tuple[str, str], Resource] = {}

    def resource(self, api_version: str, kind: str) -> Resource:
        """Where the kind is. Raises NotFound("KindNotServed")."""
        resource = KNOWN.get((api_version, kind)) or self._found.get((api_version, kind))
        if resource is None:
            request = Request("GET", api_path(api_version), subject=f"{kind} of {api_version}", kind=kind)
            resource = discovered(api_version, kind, self.json(request))
            if resource is None:
                raise NotFound("KindNotServed", f"the cluster does not serve {kind} of {api_version}")
            self._found[api_version, kind] = resource
        return resource

    def answer(self, request: Request, *, again: bool = True) -> Response:
        """The answer, where it is 2xx. Raises what `failure` makes of others."""
        response = self.transport.send(request, again=again)
        if not 200 <= response.status < 300:
            raise failure(request, response, self.server)
        return response

    def json(self, request: Request, *, again: bool = True) -> Json:
        """The answer as a JSON object."""
        response = self.answer(request, again=again)
        parsed = response.json()
        if not parsed:
            raise PvserveError(
                "NotAnApiServer",
                f"{self.server} answers {request.subject} with something else than JSON",
                remedy=("check that this is a Kubernetes API server: kubectl config view --minify",),
                detail=response.body[:200].decode(errors="replace"),
            )
        return parsed

    def pages(
        self, request: Request, label_selector: str, field_selector: str, *, again: bool = True
    ) -> tuple[list[Json], str]:
        """All pages of a list, with the resourceVersion of the whole."""
        for attempt in range(LIST_ATTEMPTS):
            try:
                return self._pages(request, label_selector, field_selector, again=again)
            except PvserveError as error:
                if error.reason != "Expired" or attempt == LIST_ATTEMPTS - 1:
                    raise
        raise AssertionError  # the last attempt returned or raised

    def _pages(
        self, request: Request, label_selector: str, field_selector: str, *, again: bool
    ) -> tuple[list[Json], str]:
        items: list[Json] = []
        after = ""
        while True:
            asked = page(request, label_selector=label_selector, field_selector=field_selector, after=after)
            answer = self.json(asked, again=again)
            items += _typed(answer)
            after = str(answer["metadata"].get("continue") or "")
            if not after:
                return items, str(answer["metadata"].get("resourceVersion", ""))


class Listed:
    """One list, as the source of a watch; each call tries once."""

    def __init__(self, rest: Rest, request: Request, label_selector: str, field_selector: str) -> None:
        self._rest = rest
        self._request = request
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}

    def objects(self) -> tuple[list[Json], str]:
        """All objects now, and the resourceVersion to watch from."""
        return self._rest.pages(self._request, **self._selectors, again=False)

    def stream(self, version: str, seconds: int) -> AbstractContextManager[tuple[Response, Iterator[bytes]]]:
        """Opens the watch, which the server ends after `seconds`."""
        request = watching(self._request, version=version, seconds=seconds, **self._selectors)
        return self._rest.transport.stream(request, timeout=seconds + STREAM_SLACK)

    def failure(self, response: Response) -> PvserveError:
        """What an answer other than 200 means."""
        return failure(self._request, response, self._rest.server)


def _typed(answer: Json) -> list[Json]:
    """The items of a list, each with the apiVersion and kind that lists leave out."""
    kind = str(answer["kind"]).removesuffix("List")
    return [{"apiVersion": answer["apiVersion"], "kind": kind, **item} for item in answer.get("items") or ()]
