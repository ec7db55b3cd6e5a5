"""The frames of `rm` and `gc`: what may go, and that it goes.

Owns what each asks for. Must not touch the volume but through the other modules.
"""

from __future__ import annotations

from typing import Any

from .frames import LEFT, LISTED, REMOVE, REMOVED, Broken, Frame, Wire
from .leftovers import NAME, contents, sweep
from .place import Partial, Place
from .remove import check_removable, remove
from .survey import BATCH


def tidy(frame: Frame, wire: Wire) -> None:
    """Answer one of these frames."""
    ask = frame.json()
    if frame.kind == REMOVE:
        wire.send_json(REMOVED, _removed(ask))
    elif frame.kind == LEFT:
        for kind, found in contents(ask["mount"]).items():
            for start in range(0, len(found), BATCH // 4):
                wire.send_json(LEFT, [kind, found[start : start + BATCH // 4]])
        wire.send(LISTED)
    else:
        wire.send_json(REMOVED, sweep(ask["mount"], ask["partials"], ask["replaced"]))


def _removed(ask: dict[str, Any]) -> dict[str, Any]:
    place = Place(ask["mount"], ask["path"], ask["key"])
    if ask["check"]:
        return check_removable(place, ask["named"])
    if not NAME.fullmatch(ask["transfer"]):
        raise Broken("the transfer has no proper name")
    return remove(place, Partial(place, ask["transfer"], ask["epoch"]), ask["named"], ask["everything"])
