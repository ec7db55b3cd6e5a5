"""Claims and volumes, as functions: what the commands call and what notebooks import.

Owns wiring only: facts -> plan. Must not print, nor decide.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta

from pvserve.api.planned import Planned, admitted
from pvserve.cluster import Cluster
from pvserve.cluster.leftovers import read_leftovers
from pvserve.cluster.volumes import CLAIM, VOLUME, read_inventory, read_volume_facts
from pvserve.contents import look_into
from pvserve.errors import Refused
from pvserve.events import Listener, silent
from pvserve.facts import Contents, LeftoverFacts, Object, Unknown, VolumeFacts, VolumeQuery, annotations_of
from pvserve.facts import name as name_of
from pvserve.inventory import ClaimRow, inventory
from pvserve.plan.lifecycle import (
    adopt_plan,
    clone_plan,
    gc_plan,
    release_plan,
    remove_plan,
    resize_plan,
    retain_plan,
    share_plan,
    undo_retain_plan,
    unshare_plan,
)
from pvserve.plan.lifecycle.cloning import PLAIN, Asked
from pvserve.plan.lifecycle.collecting import worth_a_look
from pvserve.plan.lifecycle.derived import share_name
from pvserve.plan.lifecycle.looking_in import image_for, tending_pod
from pvserve.plan.lifecycle.same import SHARE_OF, holder_of, shares_of
from pvserve.plan.lifecycle.snapshotting import API as SNAPSHOT_API
from pvserve.plan.lifecycle.snapshotting import SnapshotFacts
from pvserve.plan.part import Part
from pvserve.plan.rights import Use, rights_of
from pvserve.spec.place import parse_target


def ls(cluster: Cluster, *, all_namespaces: bool = False) -> tuple[ClaimRow, ...]:
    """The claims that hold models or are served from, and the Released volumes that hold any, here or everywhere."""
    rows = inventory(read_inventory(cluster, "" if all_namespaces else cluster.namespace))
    return tuple(row for row in rows if all_namespaces or row.namespace == cluster.namespace)


def retain(claim: str, cluster: Cluster, *, undo: bool = False) -> Planned:
    """The plan that keeps the data of a claim when the claim goes; with `undo` the way back."""
    facts = _volume_facts(cluster, claim, "retain")
    return admitted(undo_retain_plan(claim, facts) if undo else retain_plan(claim, facts), cluster)


def release(claim: str, cluster: Cluster) -> Planned:
    """The plan that deletes a claim whose volume stays."""
    return admitted(release_plan(claim, _volume_facts(cluster, claim, "release", "retain")), cluster)


def adopt(volume: str, cluster: Cluster, *, claim: str = "") -> Planned:
    """The plan that makes a Released volume claim `claim` ("" = the one it had) of the cluster's namespace."""
    if not claim:
        found = cluster.find("v1", "PersistentVolume", volume)
        claim = str((found["spec"].get("claimRef") or {}).get("name") or "") if isinstance(found, dict) else ""
    return admitted(adopt_plan(volume, claim, _volume_facts(cluster, claim, "adopt", volume=volume)), cluster)


def resize(claim: str, size: str, cluster: Cluster, *, timeout_seconds: int = 300) -> Planned:
    """The plan that gives a claim `size`, a quantity as 20Gi. Raises UsageError where it is none."""
    return admitted(resize_plan(claim, size, timeout_seconds, _volume_facts(cluster, claim, "resize")), cluster)


def rm(place: str, cluster: Cluster, *, name: str = "", everything: bool = False, image: str = "") -> Planned:
    """The plan that removes the model at `place`, pvc://CLAIM/PATH; `name` is its path once more, typed.

    Raises UsageError where it is no place of a model.
    """
    target = parse_target(place)
    facts = _volume_facts(cluster, target.claim, "rm", neighbours=True, image=not image)
    return admitted(remove_plan(target, facts, typed=name, everything=everything, image=image), cluster)


def share(claim: str, to: str, cluster: Cluster, *, name: str = "") -> Planned:
    """The plan that gives namespace `to` the data of a claim, read-only, as claim `name` ("" = of the same name)."""
    here, wanted = _volume_facts(cluster, claim, "share"), name or claim
    volume = share_name(name_of(here.volume), to, wanted) if isinstance(here.volume, dict) else ""
    there = read_volume_facts(cluster, VolumeQuery(to, wanted, volume, rights_of("share-to", to)))
    return admitted(share_plan(claim, here, wanted, there), cluster)


def unshare(claim: str, cluster: Cluster) -> Planned:
    """The plan that takes the share `claim` of the cluster's namespace away."""
    share_of, derived = f"{cluster.namespace}/{claim}", ""
    volumes = cluster.find_all(*VOLUME)
    origin: Object | Unknown | None = volumes if isinstance(volumes, Unknown) else None
    for item in () if isinstance(volumes, Unknown) else volumes:
        if SHARE_OF in annotations_of(item) and "/".join(holder_of(item)) == share_of:
            derived = name_of(item)
        elif share_of in shares_of(item):
            origin = item
    facts = _volume_facts(cluster, claim, "unshare", volume=derived)
    return admitted(unshare_plan(claim, facts, origin), cluster)


def clone(claim: str, new: str, cluster: Cluster, asked: Asked = PLAIN) -> Planned:
    """The plan that makes claim `new`, a clone of a claim by its storage system."""
    facts = _volume_facts(cluster, claim, "clone", "snapshot")
    target = cluster.find(*CLAIM, new, cluster.namespace)
    wanted = name_of(facts.storage_class) if isinstance(facts.storage_class, dict) else ""
    profile = cluster.find("cdi.kubevirt.io/v1beta1", "StorageProfile", wanted) if wanted else None
    taken = SnapshotFacts()
    if asked.snapshot or asked.storage_class or not asked.attempt:
        classes = cluster.find_all(SNAPSHOT_API, "VolumeSnapshotClass")
        found = cluster.find(SNAPSHOT_API, "VolumeSnapshot", new, cluster.namespace) if classes else None
        named = asked.storage_class
        taken = SnapshotFacts(
            classes, found, cluster.find("storage.k8s.io/v1", "StorageClass", named) if named else None
        )
    return admitted(clone_plan(claim, new, facts, target, profile=profile, snapshots=taken, asked=asked), cluster)


def gc(
    cluster: Cluster,
    *,
    claim: str = "",
    older_than: timedelta = timedelta(hours=24),
    image: str = "",
    listen: Listener = silent,
) -> Planned:
    """The plan that removes what nobody refers to from the cluster's namespace and its claims, or from `claim` alone.

    A pod looks into each claim. Partial transfers are kept for `older_than` since they were last written to.
    Raises Refused: NoSuchClaim.
    """
    facts = read_leftovers(cluster, rights_of("gc", cluster.namespace))
    if claim:
        facts = replace(facts, claims=tuple(item for item in facts.claims if name_of(item) == claim))
        if not facts.claims:
            message = f"claim {claim} does not exist in namespace {cluster.namespace}"
            raise Refused("NoSuchClaim", message, remedy=(f"kubectl get pvc -n {cluster.namespace}",))
    chosen = image_for(image, facts.loader_image, facts.users)
    seen: dict[str, Contents | Unknown] = {}
    for item in facts.claims:
        if claim or worth_a_look(item, facts.leases):
            seen[name_of(item)] = _seen(cluster, item, facts, chosen, listen)
    return Planned(gc_plan(replace(facts, contents=seen), older_than, image), None)


def _seen(
    cluster: Cluster, claim: Object, facts: LeftoverFacts, image: str | Part, listen: Listener
) -> Contents | Unknown:
    if isinstance(image, Part):
        return Unknown(image.refusals[0].message)
    word = f"look {secrets.token_hex(6)}"  # several may look at once
    pod = tending_pod(claim, facts.namespace, facts.users, image, word, read_only=True)
    return look_into(cluster, name_of(claim), pod, listen)


def _volume_facts(
    cluster: Cluster, claim: str, *uses: Use, volume: str = "", neighbours: bool = False, image: bool = False
) -> VolumeFacts:
    rights = tuple(dict.fromkeys(right for use in uses for right in rights_of(use, cluster.namespace)))
    return read_volume_facts(cluster, VolumeQuery(cluster.namespace, claim, volume, rights, neighbours, image))
