"""The step that sees that a model lies where a service is to read it; the pod goes whatever happens.

Owns what is refused. Must not change anything, nor prove: `verify` compares every file afterwards.
"""

from __future__ import annotations

from pvserve.apply.refusing import refuse_all
from pvserve.cluster import Cluster
from pvserve.errors import Interrupted, PvserveError
from pvserve.events import Listener, Note, StepState
from pvserve.facts import name
from pvserve.mount import mounted
from pvserve.plan.steps import CheckPath
from pvserve.plan.trap_table import stop
from pvserve.spec.place import Place
from pvserve.transfer import VolumeReport, inspect


def check_path(cluster: Cluster, step: CheckPath, listen: Listener) -> None:
    """Returns when files lie there, and where no pod could look: that is said, and the proof looks again.

    Raises Refused: PathMissing, PathEmpty, PathIsFile.
    """
    try:
        with mounted(
            cluster, step.pod, lambda detail: listen(StepState(step.id, step.title, "ongoing", detail))
        ) as pod:
            container = str(pod["spec"]["containers"][0]["name"])
            report = inspect(cluster.reach(name(pod), cluster.namespace, container), step.path, "list")
    except Interrupted:
        raise
    except PvserveError as error:
        place = Place(step.claim, step.path)
        listen(Note(f"whether a model lies at {place} could not be seen before: {error.message}"))
        return
    judged(report, step, cluster.namespace)


def judged(report: VolumeReport, step: CheckPath, where: str) -> None:
    """Raises Refused where what was seen is no model."""
    code = ""
    if not report.exists:
        code = "PathMissing"
    elif not report.is_directory:
        code = "PathIsFile"
    elif not report.extra and report.manifest is None:
        code = "PathEmpty"
    if code:
        parent = step.path.rpartition("/")[0] or "DIRECTORY"
        refuse_all(stop(code, place=Place(step.claim, step.path), namespace=where, parent=parent).refusals)
