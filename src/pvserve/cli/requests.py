"""What the user says of the proof's inference request."""

from __future__ import annotations

import json
import sys

from pvserve.cli.files import read_text
from pvserve.errors import UsageError
from pvserve.verify.endpoint import Request
from pvserve.verify.token import checked_token


def request_of(path: str | None, body: str | None, token_file: str | None = None) -> Request | None:
    """The request, None where nothing was said; the token is the file's, `-` for stdin, so that no process list has it.

    Raises UsageError when one half is missing, the body is no JSON or the file holds no token.
    """
    if path is None and body is None and token_file is None:
        return None
    token = checked_token(_text_of(token_file)) if token_file else ""
    if path is None and body is None:
        return Request(token=token)
    if path is None or body is None or not path.startswith("/"):
        raise UsageError("Usage", "--request-path /PATH and --request JSON go together")
    try:
        json.loads(body)
    except ValueError as error:
        raise UsageError("Usage", f"--request is no JSON: {error}") from error
    return Request(path, body.encode(), token)


def _text_of(file: str) -> str:
    return sys.stdin.read() if file == "-" else read_text(file)
