"""A path that pvserve did not load: whether a model lies there is seen before anything is written.

Owns when a pod looks, and what cannot be looked at. Pure. Of a path that is missing the kubelet makes an empty
directory (kubernetes pkg/volume/util/subpath SafeMakeDir), and KServe says nothing: the server fails at its start.
"""

from __future__ import annotations

from pvserve.facts import Facts
from pvserve.plan.claim import access_modes, is_bound, recorded_models
from pvserve.plan.lifecycle.users import OWN_PODS
from pvserve.plan.loading import loader_image, place_hash, planned_pod
from pvserve.plan.part import Part, refused
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import CheckPath
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place


def look_part(spec: ModelSpec, facts: Facts, *, writes: bool) -> Part:
    """The step that looks, for a plan that `writes` a service and brings no bytes; a note where no pod can look."""
    claim, path = facts.claim.object, spec.destination or ""
    if not isinstance(claim, dict) or path in recorded_models(claim):
        return Part()
    place, where = Place(spec.claim.name, path), facts.namespace.name
    if not is_bound(claim) and not claim["spec"].get("volumeName"):
        return refused(
            "ClaimUnbound",
            f"claim {spec.claim.name} is not bound to a volume yet, so no model lies on it",
            f"pvserve load MODEL_DIRECTORY {place} -n {where}",
        )
    seen_by = f"whether a model lies there is seen by: pvserve verify {place}"
    unseen = Part(notes=(f"pvserve loaded nothing to {path or 'the root'} of claim {spec.claim.name}: {seen_by}",))
    image, _ = loader_image(spec, facts)
    if not path or not image or access_modes(claim) == ("ReadWriteOncePod",):
        return unseen
    if not writes:
        return Part()
    step = CheckPath(
        "look",
        f"see that a model lies at {place}",
        spec.claim.name,
        path,
        planned_pod(spec, facts, image, {OWN_PODS[1]: place_hash(place)}, read_only=True),
        why="pvserve loaded nothing there, and of a path that is missing the kubelet makes an empty directory",
        rights=rights_of("prove", where),
    )
    return Part(steps=(step,))
