"""Sends requests to the API server, again where that is safe, and logs in again once on a 401.

Owns the connection pool, time limits, pauses between attempts and the mapping of connection errors. Must not know
kinds of objects, nor what an answer means beyond "send it again".
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from pvserve.cluster.failures import AGAIN, Response
from pvserve.cluster.login import LoggingIn, Login
from pvserve.cluster.proxy import SOCKS, authorization, need_socks
from pvserve.cluster.request import Request
from pvserve.errors import PvserveError, Temporary
from pvserve.version import __version__

PATIENCE = 30.0  # seconds that one request is tried again for: an API server restarts in less
FIRST_PATIENCE = 3.0  # until the server has answered at all: a wrong address should not take long to tell
LONGEST_PAUSE = 5.0
CONNECT_SECONDS = 10.0
PARALLEL = 8  # connections kept
USER_AGENT = f"pvserve/{__version__}"


def pause_before(request: Request, response: Response, attempt: int) -> float | None:
    """Seconds to wait before sending `request` again after this answer; None: do not.

    429 was not carried out, whatever the request; 5xx may have been (client-go does the same with Retry-After).
    """
    asked = response.headers.get("retry-after", "")
    if response.status == 429 or (response.status in (502, 503, 504) and (request.repeatable or asked)):
        return float(asked) if asked.isdigit() else backoff(attempt)
    if response.status == 500 and asked.isdigit() and request.repeatable:
        return float(asked)
    return None


def backoff(attempt: int) -> float:
    """0.2 s, doubled each time up to LONGEST_PAUSE, spread so that clients do not knock together."""
    longest: float = min(LONGEST_PAUSE, 0.2 * 2 ** min(attempt, 10))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - no secret


class Transport:
    """One API server, as one user. Safe to use from several threads."""

    def __init__(
        self, log_in: LoggingIn, request_timeout: float, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._log_in = log_in
        self._timeout = request_timeout
        self._sleep = sleep
        self._renewing = threading.Lock()
        self._answered = False
        self.login = log_in()
        self._pool = _pool(self.login)

    def send(self, request: Request, *, timeout: float | None = None, again: bool = True) -> Response:
        """The answer, whatever its status. `timeout` in seconds per attempt; `again` False sends only once.

        Raises Temporary when no answer was to be had, NotAllowed when logging in again failed.
        """
        deadline = time.monotonic() + (PATIENCE if self._answered else FIRST_PATIENCE)
        for attempt in itertools.count():
            try:
                response = self._send(request, timeout or self._timeout)
            except HTTPError as error:
                wait = backoff(attempt) if _may_repeat(request, error) else None
                if wait is None or not again or time.monotonic() + wait > deadline:
                    raise unreachable(self.login.server, request.subject, error) from error
            else:
                self._answered = True
                wait = pause_before(request, response, attempt)
                if wait is None or not again or time.monotonic() + wait > deadline:
                    return response
            self._sleep(wait)
        raise AssertionError  # count() does not end

    def _send(self, request: Request, timeout: float) -> Response:
        login = self.login
        response = self._once(login, request, timeout)
        if response.status == 401:
            response = self._once(self.renewed(login), request, timeout)
        return response

    def _once(self, login: Login, request: Request, timeout: float) -> Response:
        answer = self._open(login, request, timeout, stream=False)
        return Response(answer.status, {key.lower(): value for key, value in answer.headers.items()}, answer.data)

    @contextmanager
    def stream(self, request: Request, *, timeout: float) -> Iterator[tuple[Response, Iterator[bytes]]]:
        """The answer with an iterator over its body as it comes; `timeout` in seconds between two pieces.

        Raises Temporary also while the body is read. Sends once, or twice after a 401.
        """
        login = self.login
        answer = None
        try:
            answer = self._open(login, request, timeout, stream=True)
            if answer.status == 401:
                answer.close()
                answer = self._open(self.renewed(login), request, timeout, stream=True)
            headers = {key.lower(): value for key, value in answer.headers.items()}
            whole = b"" if answer.status == 200 else answer.data
            yield Response(answer.status, headers, whole), answer.stream(1 << 16)
        except (HTTPError, OSError) as error:
            raise unreachable(login.server, request.subject, error) from error
        finally:
            if answer is not None:
                answer.close()

    def renewed(self, login: Login) -> Login:
        """Logs in again, unless another thread has done so since `login` was refused."""
        with self._renewing:
            if self.login is login:
                fresh = self._log_in()
                self.login, self._pool = fresh, _pool(fresh)
            return self.login

    def _open(self, login: Login, request: Request, timeout: float, *, stream: bool) -> urllib3.BaseHTTPResponse:
        pool = self._pool
        return pool.request(
            request.method,
            url(login.server, request),
            body=request.body,
            headers={"User-Agent": USER_AGENT, **login.headers, **request.headers},
            timeout=urllib3.Timeout(connect=min(timeout, CONNECT_SECONDS), read=timeout),
            retries=False,
            redirect=False,
            preload_content=not stream,
        )


def url(server: str, request: Request) -> str:
    """The request's address; `server` may have a path of its own (Rancher)."""
    query = urlencode(request.query, quote_via=quote)
    separator = "&" if "?" in request.path else "?"
    return server + request.path + (separator + query if query else "")


def _pool(login: Login) -> urllib3.PoolManager:
    how: dict[str, Any] = {"maxsize": PARALLEL, "ssl_context": login.tls}
    if login.server_name:
        how["server_hostname"] = login.server_name
    if not login.proxy:
        return urllib3.PoolManager(**how)
    if urlsplit(login.proxy).scheme in SOCKS:
        need_socks()
        from urllib3.contrib.socks import SOCKSProxyManager

        return SOCKSProxyManager(login.proxy.replace("socks5://", "socks5h://", 1), **how)
    return urllib3.ProxyManager(login.proxy, proxy_headers=authorization(urlsplit(login.proxy)), **how)


def _may_repeat(request: Request, error: HTTPError) -> bool:
    """Whether the request cannot have been carried out, or may be carried out twice."""
    if isinstance(error, SSLError):
        return False
    never_sent = (NewConnectionError, ConnectTimeoutError, ProxyError)
    return request.repeatable or isinstance(error, never_sent)


def unreachable(server: str, subject: str, error: BaseException) -> PvserveError:
    """No answer was to be had, or it broke off: in words, with the most likely remedy first."""
    remedy = ("check the address (kubectl config view --minify) and the network", *AGAIN)
    if isinstance(error, SSLError) or "certificate" in str(error):
        words = f"the certificate of {server} is not trusted"
        remedy = ("check certificate-authority in the kubeconfig, and this machine's clock", *AGAIN)
        return Temporary("TlsFailed", words, subject=subject, remedy=remedy, detail=str(error))
    if isinstance(error, ProxyError):
        return Temporary("ProxyFailed", f"the proxy to {server} fails", subject=subject, detail=str(error))
    return Temporary("Unreachable", f"{server} does not answer", subject=subject, remedy=remedy, detail=str(error))
