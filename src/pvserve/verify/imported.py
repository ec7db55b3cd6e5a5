"""What can be said of a directory without a manifest: what KServe imported there, or others put there.

Owns the words for it. Nothing says what such files should be, so that it is never a proof.
"""

from __future__ import annotations

import shlex

from pvserve.cluster import Cluster
from pvserve.facts import Unknown
from pvserve.model import manifest_digest
from pvserve.plan.model_cache import API, KIND, Import, import_of, pvserve_uri
from pvserve.spec.place import Place
from pvserve.transfer import VolumeReport
from pvserve.verify.proof import DIGESTS, Check


def import_at(cluster: Cluster, place: Place) -> Import | Unknown | None:
    """KServe's import to the place or to a directory above it, as far as it may be read."""
    found = cluster.find_all(API, KIND, cluster.namespace)
    if isinstance(found, Unknown):
        return None if found.cause == "no-such-api" else found
    imports = (item for cache in found if (item := import_of(cache)) is not None)
    there = (item for item in imports if item.claim == place.claim and f"{place.path}/".startswith(f"{item.path}/"))
    return next(there, None)


def unlisted(report: VolumeReport, place: Place, imported: Import | Unknown | None) -> Check:
    """The check of a directory that has no manifest."""
    where = f"pvc://{place.claim}/{place.path}"
    evidence = f"{where} has no manifest: {_who(imported)}. {_what(report)}"
    return Check("digests", DIGESTS, "unknown", evidence, _remedy(report, where, imported))


def _who(imported: Import | Unknown | None) -> str:
    if isinstance(imported, Import):
        done = "imported" if imported.ready else "is to import"
        return f"{imported} {done} it from {imported.source}, and KServe compares no digest with what that publishes"
    if isinstance(imported, Unknown):
        return f"it was not loaded by pvserve; whether KServe imported it is not known ({imported.why})"
    return "it was not loaded by pvserve"


def _what(report: VolumeReport) -> str:
    if not report.exists:
        return "Nothing lies there"
    if report.found is not None:
        return (
            f"Its {len(report.found.entries)} files ({report.found.bytes} bytes) were read, and are "
            f"{manifest_digest(report.found)} now; what they should be nobody says"
        )
    seen = len(report.extra)
    if report.unreadable:
        return f"{len(report.unreadable)} of its {seen} files could not be read"
    return f"{seen} files lie there; they were not read"


def _remedy(report: VolumeReport, where: str, imported: Import | Unknown | None) -> tuple[str, ...]:
    if not isinstance(imported, Import):
        return (f"pvserve load MODEL_DIRECTORY {where}",)
    again = shlex.join(["pvserve", "load", pvserve_uri(imported.source), f"pvc://{imported.claim}/PATH"])
    digest = f", and ends with {manifest_digest(report.found)} for these" if report.found is not None else ""
    return (f"{again} -n {imported.namespace}   # compares every file with what the source publishes{digest}",)
