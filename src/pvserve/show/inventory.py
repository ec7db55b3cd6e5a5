"""Claims and models as a table.

Owns the layout. Nothing is cut where the output is no terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from pvserve.inventory import ClaimRow
from pvserve.show.words import clean, size

HEAD = ("NAMESPACE", "CLAIM", "CLASS", "MODE", "RECLAIM", "SIZE", "PATH", "BYTES", "FILES", "SERVICES", "MANIFEST")
SHORT = {"ReadWriteOnce": "RWO", "ReadWriteMany": "RWX", "ReadOnlyMany": "ROX", "ReadWriteOncePod": "RWOP"}


def inventory_text(rows: Sequence[ClaimRow]) -> str:
    """A table as `kubectl get` prints it: one line per model, or per claim without a recorded one."""
    if not rows:
        return "no claim holds a model here\n"
    table = [HEAD, *(line for row in rows for line in _lines(row))]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    return (
        "\n".join(
            clean("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
            for line in table
        )
        + "\n"
    )


def _lines(row: ClaimRow) -> list[tuple[str, ...]]:
    modes = ",".join(SHORT.get(mode, mode) for mode in row.access_modes)
    head = (row.namespace, row.claim, row.storage_class or "-", modes, row.reclaim, row.capacity or row.phase)
    if not row.models:
        return [(*head, "-", "-", "-", ",".join(row.services) or "-", "-")]
    return [
        (
            *head,
            model.path,
            size(model.bytes),
            str(model.files),
            ",".join(model.services) or "-",
            model.manifest.removeprefix("sha256:")[:12] or "-",
        )
        for model in row.models
    ]
