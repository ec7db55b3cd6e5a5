"""A registry's way of letting somebody in: tokens of its own realm, or a password, from a pull Secret.

Owns the challenge, the token and the Secret's form.
Source: https://distribution.github.io/distribution/spec/auth/token/,
https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Callable
from urllib.parse import urlencode, urlsplit

from pvserve.errors import PvserveError, Refused, UsageError
from pvserve.model.contain import shown

from .asking import page
from .patience import refused, to_list
from .secrets import Mounted
from .web import Line, Request, place

CONFIG, OLD_CONFIG = ".dockerconfigjson", ".dockercfg"
DOCKER_HUB = "docker.io"
DOCKER_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_FIELD = re.compile(r'([a-zA-Z_]+)="([^"]*)"')


class Login:
    """Who asks the registry at `host` for `repository`; the token is shared by all connections."""

    def __init__(self, host: str, repository: str, mounted: Mounted, secret: str, tell: Callable[[str], None]) -> None:
        self._host, self._repository = host, repository
        self._mounted, self._secret = mounted, secret
        self._tell = tell
        self._header = ""

    def headers(self) -> dict[str, str]:
        """What goes with each request to the registry's own host."""
        return {"Authorization": self._header} if self._header else {}

    def answer(self, line: Line, challenge: str, url: str) -> bool:
        """Do what a 401 asks for; whether a request may fare better now. Raises what the realm says."""
        kind, _, rest = challenge.strip().partition(" ")
        before = self._header
        if kind.lower() == "basic":
            self._header = self._basic()
            return bool(self._header) and self._header != before
        if kind.lower() != "bearer":
            return False
        fields = {name.lower(): value for name, value in _FIELD.findall(rest)}
        self._header = f"Bearer {self._token(line, fields, url)}"
        return True

    def lacking(self) -> str:
        """That the Secret is for other registries; "" where it names somebody, or none was given."""
        return f"the pull Secret {self._secret} names nobody for it" if self._secret and not self._basic() else ""

    def _token(self, line: Line, fields: dict[str, str], url: str) -> str:
        realm = fields.get("realm", "")
        if urlsplit(realm).scheme != "https" and urlsplit(realm).scheme != urlsplit(url).scheme:
            raise Refused("SourceUnsafe", f"{place(url)} sends to {place(realm)} for a token, which is not https")
        asked = {"scope": fields.get("scope") or f"repository:{self._repository}:pull"}
        if fields.get("service"):
            asked["service"] = fields["service"]
        there = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(asked)}"
        basic = self._basic()
        secret = {"Authorization": basic} if basic else {}
        answer, text = page(line, there, lambda: Request("GET", there, {}, secret), to_list(self._tell))
        if answer.status != 200:
            raise refused(answer, f"a token of {place(realm)} for {shown(self._repository)}", self.lacking())
        try:
            said = json.loads(text)
            token = str(said.get("token") or said["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise PvserveError("SourceFailed", f"{place(realm)} does not answer with a token") from None
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise PvserveError("SourceFailed", f"{place(realm)} does not answer with a token")
        return token

    def _basic(self) -> str:
        entry = self._entry()
        word = str(entry.get("auth") or "")
        if not word and entry.get("username"):
            word = base64.b64encode(f"{entry['username']}:{entry.get('password', '')}".encode()).decode("ascii")
        if not word:
            return ""
        try:
            plain = base64.b64decode(word, validate=True)
        except binascii.Error:
            plain = b""
        if b":" not in plain:
            raise UsageError(
                "ConnectionInvalid", f"the pull Secret's `auth` for {shown(self._host)} is no user:password"
            )
        return f"Basic {word}"

    def _entry(self) -> dict[str, Any]:
        """The Secret's entry for this repository: the longest name that it begins with, as the kubelet chooses."""
        best: tuple[int, dict[str, Any]] = (-1, {})
        wanted = f"{self._host}/{self._repository}"
        hosts = [f"{host}/" for host in DOCKER_HUB_HOSTS] if self._host in DOCKER_HUB_HOSTS else []
        for key, entry in self._entries().items():
            name = re.sub(r"^https?://", "", str(key)).rstrip("/")
            name = re.sub(r"/v[12]$", "", name)
            fits = f"{wanted}/".startswith(f"{name}/") or f"{name}/" in hosts
            if fits and isinstance(entry, dict) and len(name) > best[0]:
                best = (len(name), entry)
        return best[1]

    def _entries(self) -> dict[str, Any]:
        text, old = self._mounted.value(CONFIG), self._mounted.value(OLD_CONFIG)
        if not text and not old:
            return {}
        try:
            found = json.loads(text)["auths"] if text else json.loads(old)
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, dict):
            raise UsageError(
                "ConnectionInvalid", f"the pull Secret's {CONFIG if text else OLD_CONFIG} is not as it should be"
            )
        return found
