"""`clone CLAIM NEW`: a second claim with what the first holds now, made by the storage system.

Owns this plan, and which drivers are known to clone. Pure. A clone has a life of its own: nothing that is done to one
is seen on the other. Source: https://kubernetes.io/docs/concepts/storage/volume-pvc-datasource/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pvserve.facts import Object, Unknown, VolumeFacts, annotations_of, name
from pvserve.plan.claim import MODELS, access_modes, is_bound, new_claim, recorded_models
from pvserve.plan.diff import changes
from pvserve.plan.lifecycle.checks import claim_key, lacking, plan_of, the_claim
from pvserve.plan.lifecycle.snapshotting import KIND as SNAPSHOT
from pvserve.plan.lifecycle.snapshotting import (
    SnapshotFacts,
    class_for,
    data_source,
    into_class,
    no_class,
    snapshot_part,
)
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import ApplyObject, Plan
from pvserve.plan.volume_steps import WaitCloned
from pvserve.spec.place import SCHEME

CLONE_OF = "pvserve.io/clone-of"  # on the clone: the claim that it was made from
# Source: what KubeVirt's CDI advises by driver (pkg/storagecapabilities/storagecapabilities.go, csi-clone), 2026-08.
CLONES = frozenset({
    "rbd.csi.ceph.com", "rook-ceph.rbd.csi.ceph.com", "openshift-storage.rbd.csi.ceph.com",
    "cephfs.csi.ceph.com", "rook-ceph.cephfs.csi.ceph.com", "openshift-storage.cephfs.csi.ceph.com",
    "pxd.portworx.com", "csi-vxflexos.dellemc.com", "csi-isilon.dellemc.com", "csi-powermax.dellemc.com",
    "hspc.csi.hitachi.com", "csi.hpe.com", "spectrumscale.csi.ibm.com", "block.csi.ibm.com", "infinibox-csi-driver",
    "csi.san.synology.com", "blockvolume.csi.oraclecloud.com", "kubesan.gitlab.io",
})  # fmt: skip
# Source: the same table (copy), and provisioners that are no CSI drivers, which cannot have data sources at all.
NO_CLONES = frozenset({
    "csi-powerstore.dellemc.com", "vpc.block.csi.ibm.io", "topolvm.cybozu.com", "topolvm.io",
    "kubernetes.io/no-provisioner", "k8s-sigs.io/nfs-subdir-external-provisioner", "rancher.io/local-path",
    "k8s.io/minikube-hostpath", "kubevirt.io.hostpath-provisioner", "kubevirt.io/hostpath-provisioner",
})  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """How it is to be made.

    `mode` is another access mode and `storage_class` another class ("" = the source's), which only a snapshot becomes;
    `snapshot` goes through one, also where the driver clones; `attempt` tries a driver of which nobody knows whether
    it clones.
    """

    mode: str = ""
    storage_class: str = ""
    snapshot: bool = False
    attempt: bool = False


PLAIN, NO_SNAPSHOTS = Asked(), SnapshotFacts()


def clone_plan(
    claim: str,
    wanted: str,
    facts: VolumeFacts,
    target: Object | Unknown | None,
    *,
    profile: Object | Unknown | None = None,
    snapshots: SnapshotFacts = NO_SNAPSHOTS,
    asked: Asked = PLAIN,
) -> Plan:
    """Claim `wanted` in the namespace of `claim`; `target` is it, where it exists, `profile` CDI's of the class."""
    part = _clone(claim, wanted, facts, target, profile, snapshots, asked)
    where = facts.namespace.name
    paths = sorted(recorded_models(facts.claim)) if isinstance(facts.claim, dict) else []
    verify = (f"pvserve verify {SCHEME}{wanted}/{path} -n {where}" for path in paths[:1])
    return plan_of(facts, part, wanted, *verify)


def _clone(
    claim: str,
    wanted: str,
    facts: VolumeFacts,
    target: Object | Unknown | None,
    profile: Object | Unknown | None,
    snapshots: SnapshotFacts,
    asked: Asked,
) -> Part:
    found = the_claim(facts, claim)
    if isinstance(found, Part):
        return found
    if not is_bound(found):
        message = f"claim {claim} is not bound to a volume yet, so there is nothing to clone"
        return refused("ClaimUnbound", message, f"kubectl describe pvc {claim} -n {facts.namespace.name}")
    if isinstance(target, Unknown):
        return unreadable(f"claim {wanted}", target)
    into = snapshots.into if asked.storage_class else facts.storage_class
    if target is not None:
        return _there(claim, wanted, target, facts, waits=_waits(into))
    taken = asked.snapshot or bool(asked.storage_class)
    bad = (
        _untakeable(found, facts, snapshots, asked) if taken else _unable(found, facts, wanted, profile, asked.attempt)
    )
    if taken and bad.refusals:
        return bad
    storage = class_for(_driver(facts), snapshots)
    by_snapshot = bool(storage and (taken or bad.refusals))
    if bad.refusals and not by_snapshot:
        return bad
    denied = lacking(facts, "clone", "snapshot") if by_snapshot else lacking(facts, "clone")
    if denied.refusals:
        return denied
    if not by_snapshot:
        source: Mapping[str, str] = {"kind": "PersistentVolumeClaim", "name": claim}
        return bad + _steps(found, wanted, asked, source, into)
    first = snapshot_part(claim, wanted, facts.namespace.name, storage, snapshots)
    return first if first.refusals else first + _steps(found, wanted, asked, data_source(wanted), into)


def _untakeable(found: Object, facts: VolumeFacts, snapshots: SnapshotFacts, asked: Asked) -> Part:
    """The refusal where a snapshot was asked for, and none can be taken or become a volume of the class that was."""
    if isinstance(facts.storage_class, Unknown):
        return unreadable(f"class {found['spec'].get('storageClassName')}", facts.storage_class)
    driver = _driver(facts)
    unfit = into_class(asked.storage_class, driver, snapshots) if asked.storage_class else Part()
    if unfit.refusals or class_for(driver, snapshots):
        return unfit
    return no_class(name(found), driver, snapshots)


def _driver(facts: VolumeFacts) -> str:
    return str(facts.storage_class.get("provisioner") or "") if isinstance(facts.storage_class, dict) else ""


def _there(claim: str, wanted: str, target: Object, facts: VolumeFacts, *, waits: bool) -> Part:
    source = target["spec"].get("dataSource") or {}
    cloned = (source.get("kind"), source.get("name")) == ("PersistentVolumeClaim", claim)
    restored = source.get("kind") == SNAPSHOT and annotations_of(target).get(CLONE_OF) == claim
    if not cloned and not restored:
        message = f"claim {wanted} exists in namespace {facts.namespace.name} and is no clone of claim {claim}"
        return refused("ClaimExists", message, f"name another: pvserve clone {claim} OTHER -n {facts.namespace.name}")
    if is_bound(target) or waits:
        return Part(unchanged=(f"claim {wanted} is a clone of claim {claim}",))
    return Part(steps=(_wait(claim, wanted, attempt=False),), unchanged=(f"claim {wanted} is asked for already",))


def _unable(found: Object, facts: VolumeFacts, wanted: str, profile: Object | Unknown | None, attempt: bool) -> Part:
    """The refusal where the class cannot clone, or nobody knows and it was not to be tried; else how it is known."""
    copies = _copies(found, wanted, facts.namespace.name)
    title = f"class {found['spec'].get('storageClassName')} of claim {name(found)}"
    item = facts.storage_class
    if not found["spec"].get("storageClassName") or item is None:
        return refused("CannotClone", f"claim {name(found)} has no class that could make a clone", *copies)
    driver = _driver(facts)
    strategy = str((profile.get("status") or {}).get("cloneStrategy") or "") if isinstance(profile, dict) else ""
    if strategy == "csi-clone" or (not strategy and driver in CLONES):
        return Part()
    if strategy == "copy" or driver in NO_CLONES:
        return refused("CannotClone", f"{title} cannot clone: driver {driver} does not, as far as is known", *copies)
    if attempt:
        note = f"whether driver {driver or '(unknown)'} clones is tried; where it does not, claim {wanted} goes again"
        return Part(notes=(note,))
    tries = f"try it: pvserve clone {name(found)} {wanted} --try -n {facts.namespace.name}"
    message = f"nobody knows whether {title} (driver {driver or 'unreadable'}) can clone"
    return refused("CloneUnknown", message, tries, *copies)


def _copies(found: Object, wanted: str, where: str) -> tuple[str, ...]:
    paths = sorted(recorded_models(found)) or ["PATH"]
    return tuple(
        f"or copy: pvserve load {SCHEME}{name(found)}/{path} {SCHEME}{wanted}/{path} -n {where}" for path in paths
    )


def _waits(storage_class: Object | Unknown | None) -> bool:
    return isinstance(storage_class, dict) and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def _wait(claim: str, wanted: str, *, attempt: bool) -> WaitCloned:
    return WaitCloned("cloned", f"wait until claim {wanted} has a clone of claim {claim}", wanted, claim, attempt)


def _steps(found: Object, wanted: str, asked: Asked, source: Mapping[str, str], into: Object | Unknown | None) -> Part:
    """The claim, of class `into` as far as that is known, and the wait for its volume where one is made at once."""
    where, claim = str(found["metadata"]["namespace"]), name(found)
    size = str(((found.get("status") or {}).get("capacity") or found["spec"]["resources"]["requests"])["storage"])
    modes = [asked.mode] if asked.mode else list(access_modes(found))
    storage_class = asked.storage_class or str(found["spec"]["storageClassName"])
    made = new_claim(wanted, where, storage_class, modes[0], size)
    made["spec"] |= {"accessModes": modes, "dataSource": dict(source)}
    notes = made["metadata"]["annotations"]
    notes[CLONE_OF] = claim
    if models := annotations_of(found).get(MODELS, ""):
        notes[MODELS] = models
    step = ApplyObject(
        "claim",
        f"make claim {wanted}, a clone of claim {claim} as it is now",
        made,
        changes=changes({}, made),
        why=f"the size is the source's; so is the driver of class {storage_class}, which a snapshot can become"
        if asked.storage_class
        else "class and size are the source's: no driver clones across classes",
        rights=rights_of("clone", where),
    )
    part = Part(steps=(step,)) + assume(None, claim_key(where, wanted), whole=False)
    if _waits(into):
        note = f"the class makes the volume when a pod first mounts claim {wanted}, as `pvserve verify` does"
        return part + Part(notes=(note,))
    return part + Part(steps=(_wait(claim, wanted, attempt=asked.attempt and source["kind"] != SNAPSHOT),))
