"""The inference request that a user gives for the proof."""

from __future__ import annotations

import json

from pvserve.errors import UsageError
from pvserve.verify.endpoint import Request


def request_of(path: str | None, body: str | None) -> Request | None:
    """The request, None where none was given. Raises UsageError when one half is missing or the body is no JSON."""
    if path is None and body is None:
        return None
    if path is None or body is None or not path.startswith("/"):
        raise UsageError("Usage", "--request-path /PATH and --request JSON go together")
    try:
        json.loads(body)
    except ValueError as error:
        raise UsageError("Usage", f"--request is no JSON: {error}") from error
    return Request(path, body.encode())
