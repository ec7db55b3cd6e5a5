"""The token by which a guarded endpoint is asked.

Owns where it is from. It is never shown, written down or sent anywhere but to that endpoint.
The dashboard of Open Data Hub makes a service account NAME-sa that may `get` the service, which is what the endpoint's
guard asks for (odh-dashboard, packages/kserve); a token of it is made for ten minutes, the shortest time there is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from pvserve.cluster import Cluster
from pvserve.errors import UsageError
from pvserve.facts import Unknown

SECONDS = 600
MEDIA = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Token:
    """The token, and whose it is in words."""

    secret: str = field(repr=False)
    words: str


def token_for(cluster: Cluster, service: str, given: str) -> Token | Unknown:
    """The token that the user gave, else one of the service's own account; Unknown says why there is none."""
    if given:
        return Token(checked_token(given), "the token given")
    account = f"{service}-sa"
    path = f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts/{account}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": SECONDS}}
    response = cluster.raw("POST", path, json.dumps(asked).encode(), MEDIA)
    if response.status == 404:
        return Unknown(f"there is no service account {account}")
    if response.status == 403:
        return Unknown(f"you may not create serviceaccounts/token of {account}", "forbidden")
    secret = str((response.json().get("status") or {}).get("token") or "")
    if not secret:
        return Unknown(f"the API server made no token of service account {account}: HTTP {response.status}")
    return Token(checked_token(secret), f"a token of service account {account}, made for {SECONDS // 60} minutes")


def checked_token(text: str) -> str:
    """`text` as it can be sent. Raises UsageError, without saying it, for what is no token."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            "NotAToken",
            "a token is one word of printable ASCII characters, and this is none",
            remedy=("write the token alone into the file, as `kubectl create token ACCOUNT` prints it",),
        )
    return token
