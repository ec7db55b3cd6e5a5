"""What lies below `.pvserve/` of claims, read through pods that mount them read-only.

Owns the order: pod, look, pod gone. Must not decide what of it may go.
"""

from __future__ import annotations

from pvserve.cluster import Cluster
from pvserve.errors import Interrupted, PvserveError
from pvserve.events import Listener, Note
from pvserve.facts import Contents, Object, Unknown, name
from pvserve.mount import mounted
from pvserve.transfer import contents


def look_into(cluster: Cluster, claim: str, pod: Object, listen: Listener) -> Contents | Unknown:
    """One claim. Unknown where no pod could look: that one cannot be mounted is no reason not to look at others."""
    try:
        with mounted(cluster, pod, lambda detail: listen(Note(f"claim {claim}: {detail}"))) as live:
            container = str(live["spec"]["containers"][0]["name"])
            return contents(cluster.reach(name(live), cluster.namespace, container), claim)
    except Interrupted:
        raise
    except PvserveError as error:
        return Unknown(error.message, "forbidden" if error.exit_code == 4 else "unreachable")
