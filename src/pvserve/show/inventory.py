"""Claims, Released volumes and models as tables.

Owns the layout. Nothing is cut where the output is no terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pvserve.inventory import ClaimRow, ModelRow
from pvserve.show.words import clean, size

PLACE = ("NAMESPACE", "CLAIM", "CLASS", "MODE", "RECLAIM", "SIZE", "FREE", "SERVICES", "PODS")
MODEL = ("PATH", "BYTES", "FILES", "SERVICES", "SOURCE", "LOADED", "MANIFEST")
SHORT = {"ReadWriteOnce": "RWO", "ReadWriteMany": "RWX", "ReadOnlyMany": "ROX", "ReadWriteOncePod": "RWOP"}
Line = tuple[str, ...]


def inventory_text(rows: Sequence[ClaimRow]) -> str:
    """Three tables as `kubectl get` prints them: claims, the models on them, and Released volumes with theirs."""
    if not rows:
        return "no claim holds a model here\n"
    claims = [row for row in rows if row.phase != "Released"]
    left = [row for row in rows if row.phase == "Released"]
    models = [(row.namespace, row.claim, *_model(model)) for row in claims for model in row.models]
    tables = [
        _table(PLACE, [_claim(row) for row in claims]),
        _table(("NAMESPACE", "CLAIM", *MODEL), models),
        _table(("RELEASED VOLUME", "WAS", "SIZE", *MODEL), [line for row in left for line in _released(row)]),
    ]
    hint = "make one a claim again: pvserve adopt VOLUME\n" if left else ""
    return "\n".join(filter(None, tables)) + hint


def _table(head: Line, lines: Iterable[Line]) -> str:
    table = [head, *lines]
    if len(table) == 1:
        return ""
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    padded = ("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in table)
    return "".join(clean(line.rstrip()) + "\n" for line in padded)


def _claim(row: ClaimRow) -> Line:
    modes = ",".join(SHORT.get(mode, mode) for mode in row.access_modes)
    free = "-" if row.free_bytes is None else size(row.free_bytes)
    used = (",".join(row.services) or "-", ",".join(row.pods) or "-")
    return (
        row.namespace,
        row.claim,
        row.storage_class or "-",
        modes,
        row.reclaim,
        row.capacity or row.phase,
        free,
        *used,
    )


def _model(model: ModelRow) -> Line:
    return (
        model.path,
        "-" if model.cache else size(model.bytes),
        "-" if model.cache else str(model.files),
        ",".join(model.services) or "-",
        model.source or "-",
        model.loaded or "-",
        f"KServe's {model.cache}: {model.state}" if model.cache else model.manifest.removeprefix("sha256:")[:12] or "-",
    )


def _released(row: ClaimRow) -> list[Line]:
    was = f"{row.namespace}/{row.claim}" if row.claim else "-"
    return [(row.volume, was, row.capacity, *_model(model)) for model in row.models]
