"""What is written to a place under its Lease, also where the volume is older than the Lease.

Owns that a claim which came with an unfinished load (`adopt`, `clone`, a Lease that `gc` took) can be written to: its
partial transfer bears the epoch of another Lease, which ours is taken anew to be later than. Must not know what is
written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from pvserve.apply.lease import Held, writing
from pvserve.cluster import Cluster
from pvserve.errors import Temporary
from pvserve.transfer import later_epoch

T = TypeVar("T")


def written(
    cluster: Cluster,
    claim: str,
    path: str,
    cancel: threading.Event,
    say: Callable[[str], None],
    work: Callable[[Held], T],
) -> T:
    """The result of `work` with the Lease of `pvc://claim/path` held; once more where what lies there overtook it.

    Whoever holds the Lease was overtaken by nobody who took it after: the writer of the later epoch had another one.
    Raises what `work` and `lease.writing` raise.
    """
    try:
        with writing(cluster, claim, path, cancel, say) as held:
            return work(held)
    except Temporary as error:
        after = later_epoch(error)
        if not after or held.lost.is_set():
            raise
    say("an unfinished load came with the volume: going on from it")
    with writing(cluster, claim, path, cancel, say, after) as held:
        return work(held)
