"""The manifest as text: in-toto JSON in model-signing's shape, and a SHA256SUMS file.

Owns both formats (docs/manifest.md). What is read here may come from a volume that others can write: every field
is checked, and nothing is believed because a file says so.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Any

from pvserve.errors import DataDiffers, Refused
from pvserve.model.contain import fault, shown
from pvserve.model.manifest import Entry, Manifest, manifest_digest, root_digest, signing_order

FORMAT_VERSION = 1
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MAX_BYTES = 256 << 20  # a million files of 255-byte names; more is no manifest

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUM_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_NO_RESOURCES = '"resources": []'
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def to_json(manifest: Manifest) -> str:
    """The manifest as an in-toto v1 Statement that any model-signing signer or verifier understands."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": manifest.name or "model", "digest": {"sha256": root_digest(manifest.entries)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "pvserve": {
                "formatVersion": FORMAT_VERSION,
                "digest": manifest_digest(manifest),
                "bytes": manifest.bytes,
                "source": manifest.source,
                "include": list(manifest.include),
                "exclude": list(manifest.exclude),
                "created": manifest.created,
            },
            "resources": [],
        },
    }
    text = json.dumps(statement, ensure_ascii=False, indent=1) + "\n"
    before, _, after = text.rpartition(_NO_RESOURCES)
    resources = ",".join(map(_resource, signing_order(manifest.entries)))
    return f'{before}"resources": [{resources}\n  ]{after}' if resources else text


def from_json(text: str | bytes, *, subject: str = "") -> Manifest:
    """The manifest that `to_json` of this or an older release wrote; `subject` names the file in errors.

    Raises:
        Refused: `ManifestTooNew`, a format version that only a newer pvserve reads.
        DataDiffers: `ManifestDamaged`, anything else that is not exactly a manifest; says what.
    """
    try:
        return _manifest(_parsed(text))
    except _TooNew as error:
        raise Refused(
            "ManifestTooNew",
            f"the manifest was written by a newer pvserve: format {error}, and this one reads up to {FORMAT_VERSION}",
            subject=subject,
            remedy=("pip install --upgrade pvserve",),
        ) from None
    except ValueError as error:
        raise DataDiffers(
            "ManifestDamaged",
            f"the manifest cannot be believed: {error}",
            subject=subject,
            remedy=("load the model again; its files are checked against the source and sent where they differ",),
        ) from None


def to_sha256sums(manifest: Manifest) -> str:
    """The digests as `sha256sum` of GNU coreutils prints them, so that `sha256sum -c` checks the directory."""
    return "".join(_sum_line(entry) for entry in manifest.entries)


def from_sha256sums(text: str) -> dict[str, str]:
    """Path to hex sha256, from the output of `sha256sum`.

    Raises:
        ValueError: a line that `sha256sum` does not write, or an unsafe or repeated name; says which.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        match = _SUM_LINE.fullmatch(line)
        if not match:
            raise ValueError(f"line {number} is not a sha256sum line")
        escaped, digest, name = match.groups()
        path = re.sub(r"\\.?", _unescape, name) if escaped else name
        if why := fault(path):
            raise ValueError(f"line {number}: the name {shown(path)} {why}")
        if path in found:
            raise ValueError(f"line {number}: {shown(path)} is there twice")
        found[path] = digest
    return found


def _resource(entry: Entry) -> str:
    """As json.dumps with indent=1 writes it, which takes ten times as long: that is not in C."""
    fields = (
        f'"name": {encode_basestring(entry.path)}',
        '"algorithm": "sha256"',
        f'"digest": {encode_basestring(entry.sha256)}',
        f'"size": {entry.size}',
        f'"executable": {"true" if entry.executable else "false"}',
    )
    return "\n   {\n    " + ",\n    ".join(fields) + "\n   }"


def _sum_line(entry: Entry) -> str:
    escaped = entry.path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == entry.path else chr(92)}{entry.sha256}  {escaped}\n"


def _unescape(match: re.Match[str]) -> str:
    if match[0] not in _ESCAPES:
        raise ValueError(f"the escape {match[0]} is none that sha256sum writes")
    return _ESCAPES[match[0]]


class _TooNew(Exception):
    """The format version of a manifest that is too new to be judged further."""


def _parsed(text: str | bytes) -> Any:
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _manifest(statement: Any) -> Manifest:
    if _text(_field(statement, "_type")) != STATEMENT_TYPE:
        raise ValueError("it is no in-toto v1 statement")
    if _text(_field(statement, "predicateType")) != PREDICATE_TYPE:
        raise ValueError("its predicate is not model-signing's")
    predicate = _field(statement, "predicate")
    ours = _field(predicate, "pvserve")
    version = _count(_field(ours, "formatVersion"))
    if version > FORMAT_VERSION:
        raise _TooNew(version)
    subjects = _list(_field(statement, "subject"))
    if len(subjects) != 1:
        raise ValueError("it has not exactly one subject")
    manifest = Manifest(
        entries=_entries(_list(_field(predicate, "resources"))),
        source=_text(_field(ours, "source")),
        include=tuple(_text(pattern) for pattern in _list(_field(ours, "include"))),
        exclude=tuple(_text(pattern) for pattern in _list(_field(ours, "exclude"))),
        created=_text(_field(ours, "created")),
        name=_text(_field(subjects[0], "name")),
    )
    if _text(_field(_field(subjects[0], "digest"), "sha256")) != root_digest(manifest.entries):
        raise ValueError("the subject's digest is not that of the files listed")
    if _text(_field(ours, "digest")) != manifest_digest(manifest):
        raise ValueError("its own digest is not that of the files listed")
    return manifest


def _entries(resources: list[Any]) -> tuple[Entry, ...]:
    entries: dict[str, Entry] = {}
    for resource in resources:
        path = _text(_field(resource, "name"))
        if why := fault(path):
            raise ValueError(f"the name {shown(path)} {why}")
        if path in entries:
            raise ValueError(f"{shown(path)} is there twice")
        digest = _text(_field(resource, "digest"))
        if _text(_field(resource, "algorithm")) != "sha256" or not _SHA256.fullmatch(digest):
            raise ValueError(f"{shown(path)} has no sha256")
        executable = _field(resource, "executable")
        if not isinstance(executable, bool):
            raise ValueError(f"`executable` of {shown(path)} is neither true nor false")
        entries[path] = Entry(path, _count(_field(resource, "size")), digest, executable)
    if clash := next((path for path in entries if _is_directory_too(path, entries)), None):
        raise ValueError(f"{shown(clash)} lies below a file")
    return tuple(sorted(entries.values()))


def _is_directory_too(path: str, entries: dict[str, Entry]) -> bool:
    """Whether a directory above `path` is listed as a file."""
    while (cut := path.rfind("/")) > 0:
        path = path[:cut]
        if path in entries:
            return True
    return False


def _field(value: Any, key: str) -> Any:
    if not isinstance(value, dict) or key not in value:
        raise ValueError(f"`{key}` is missing")
    return value[key]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text is not a text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is not a list")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError("a number is not a whole number from 0 to 2^63")
    return value
