"""Where a directory lies, by what a pod mounts and this process sees."""

from __future__ import annotations

from typing import Any

import pytest

from pvserve.cluster.own_pod import Mounts, mounts_of, place_in
from pvserve.facts import OwnPlace, Unknown

UID = "0f3c1a52-9d5e-4a0b-8a55-0123456789ab"
# Of a container under containerd; a volume's root is its directory on the node, or / of its device.
MOUNTINFO = f"""\
900 800 0:57 / / rw,relatime - overlay overlay rw,lowerdir=/x
901 900 0:60 / /proc rw,nosuid - proc proc rw
950 900 253:0 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw,relatime - ext4 /dev/vda1 rw
951 900 7:1 / /home/jovyan rw,relatime - xfs /dev/loop1 rw
952 951 0:61 / /home/jovyan/with\\040blank rw - tmpfs tmpfs rw
"""


def pod(*mounts: dict[str, Any], volume: dict[str, Any] | None = None) -> dict[str, Any]:
    home = {"name": "home", **(volume or {"persistentVolumeClaim": {"claimName": "workbench"}})}
    return {
        "metadata": {"name": "notebook-0", "namespace": "llm", "uid": UID},
        "spec": {
            "containers": [
                {"name": "sidecar", "volumeMounts": [{"name": "tmp", "mountPath": "/tmp/x"}]},
                {
                    "name": "notebook",
                    "image": "notebook:1",
                    "volumeMounts": [{"name": "home", **mount} for mount in mounts],
                },
            ],
            "volumes": [home, {"name": "tmp", "emptyDir": {}}],
            "tolerations": [{"key": "gpu"}],
        },
    }


HOME = {"mountPath": "/home/jovyan/"}


def test_the_kernel_says_which_pod_this_is_and_what_is_mounted_where() -> None:
    mounts = mounts_of(MOUNTINFO)
    assert mounts.uid == UID
    assert mounts.above("/home/jovyan/models/granite") == "/home/jovyan"
    assert mounts.above("/home/jovyanne") == "/"
    assert mounts.below("/home/jovyan") == "/home/jovyan/with blank"
    assert mounts.below("/home/jovyan/models") == ""
    assert mounts_of("1 2 0:1 / / rw - ext4 /dev/sda rw\n") == Mounts("", ("/",))


@pytest.mark.parametrize(
    ("mount", "path"),
    [
        (HOME, "models/granite"),
        ({**HOME, "subPath": "users/ann"}, "users/ann/models/granite"),
        ({**HOME, "readOnly": True}, "models/granite"),
    ],
)
def test_a_directory_on_a_claim_of_the_pod(mount: dict[str, Any], path: str) -> None:
    found = place_in(pod(mount), mounts_of(MOUNTINFO), "/home/jovyan", "/home/jovyan/models/granite")
    assert found == OwnPlace("notebook-0", "llm", "workbench", path, "notebook:1", ({"key": "gpu"},))


def test_a_claim_that_was_made_for_the_pod() -> None:
    made = pod(HOME, volume={"ephemeral": {"volumeClaimTemplate": {}}})
    found = place_in(made, mounts_of(MOUNTINFO), "/home/jovyan", "/home/jovyan")
    assert isinstance(found, Unknown)  # the tmpfs inside
    found = place_in(made, Mounts(UID, ("/", "/home/jovyan")), "/home/jovyan", "/home/jovyan")
    assert found == OwnPlace("notebook-0", "llm", "notebook-0-home", "", "notebook:1", ({"key": "gpu"},))


@pytest.mark.parametrize(
    ("made", "directory", "why"),
    [
        (pod({**HOME, "subPathExpr": "$(USER)"}), "/home/jovyan/m", "subPathExpr"),
        (pod(HOME), "/home/jovyan", "another volume is mounted inside of it, at /home/jovyan/with blank"),
        (pod(HOME, {**HOME, "subPath": "x"}), "/home/jovyan/m", "is not one volume"),
    ],
)
def test_a_directory_that_cannot_be_placed_says_why(made: dict[str, Any], directory: str, why: str) -> None:
    found = place_in(made, mounts_of(MOUNTINFO), "/home/jovyan", directory)
    assert isinstance(found, Unknown)
    assert why in found.why


def test_what_is_on_no_claim() -> None:
    assert place_in(pod(HOME, volume={"emptyDir": {}}), mounts_of(MOUNTINFO), "/home/jovyan", "/home/jovyan/m") is None
    assert place_in(pod(), mounts_of(MOUNTINFO), "/home/jovyan", "/home/jovyan/m") is None
