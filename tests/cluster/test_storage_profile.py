"""CDI's StorageProfile of a class is read from the cluster, and what it says of access modes is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import Unknown, labels, name

from .offers import storage_classes, until
from .ui_service import pvserve

pytestmark = pytest.mark.cluster
GROUP = "cdi.kubevirt.io"
DEFINITION = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
PROFILE = (f"{GROUP}/v1beta1", "StorageProfile")
MINE = {"pvserve-test": "profiles"}
CLASS = ("storage.k8s.io/v1", "StorageClass")


def definition() -> dict[str, Any]:
    """As much of CDI's as its status needs; nobody fills it in here."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": PROFILE[1], "listKind": "StorageProfileList", "plural": "storageprofiles"}
    spec = {"group": GROUP, "names": names, "scope": "Cluster", "versions": [version]}
    metadata = {"name": f"storageprofiles.{GROUP}", "labels": MINE}
    return {"apiVersion": DEFINITION[0], "kind": DEFINITION[1], "metadata": metadata, "spec": spec}


@pytest.fixture
def profiled(any_cluster: Cluster, run_id: str) -> Iterator[str]:
    """A class of its own, which nobody else in this run uses, with a profile; without CDI also its definition."""
    wanted, kind = f"pvst-profiled-{run_id}", (*DEFINITION, f"storageprofiles.{GROUP}")
    there = any_cluster.find(*kind)
    if isinstance(there, dict) and not MINE.items() <= labels(there).items():
        pytest.skip("CDI fills in the profiles of this cluster itself")
    until("that of an earlier run is gone", lambda: any_cluster.find(*kind) is None)
    first = storage_classes(any_cluster)[0]
    copy = {key: first[key] for key in ("provisioner", "volumeBindingMode", "reclaimPolicy") if key in first}
    any_cluster.create({"apiVersion": CLASS[0], "kind": CLASS[1], "metadata": {"name": wanted}, **copy})
    try:
        any_cluster.create(definition())
        until("the kind is served", lambda: not isinstance(any_cluster.find_all(*PROFILE), Unknown))
        sets = [
            {"accessModes": ["ReadWriteMany"], "volumeMode": "Block"},
            {"accessModes": ["ReadWriteOncePod"], "volumeMode": "Filesystem"},
        ]
        profile = {"apiVersion": PROFILE[0], "kind": PROFILE[1], "metadata": {"name": wanted}}
        any_cluster.create({**profile, "status": {"claimPropertySets": sets}})
        yield wanted
    finally:
        any_cluster.delete(*kind)
        any_cluster.delete(*CLASS, wanted)


def test_access_mode_of_a_new_claim_is_what_cdi_says_of_file_systems(
    cluster: Cluster, profiled: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")

    def planned(storage_class: str, *more: str | os.PathLike[str]) -> tuple[list[str], str]:
        ran = pvserve(
            "load",
            tmp_path,
            "pvc://new/model",
            "--storage-class",
            storage_class,
            "--retain",
            "no",
            "--dry-run",
            *more,
            "-n",
            cluster.namespace,
        )
        assert ran.code == 0, ran.explained()
        steps = next(line for line in ran.lines if "plan" in line)["plan"]["steps"]
        [claim] = [step for step in steps if step["id"] == "claim"]
        return claim["object"]["spec"]["accessModes"], claim["why"]

    modes, why = planned(profiled)
    assert modes == ["ReadWriteOncePod"]
    assert f"CDI's StorageProfile of class {profiled} lists ReadWriteOncePod" in why
    assert planned(profiled, "--access-mode", "ReadWriteOnce")[0] == ["ReadWriteOnce"]
    other = next(name(item) for item in storage_classes(cluster) if name(item) != profiled)
    assert "StorageProfile" not in planned(other)[1]
