"""The plans of commands on volumes as a person reads them: tests/golden/volumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pvserve.facts import Right, Users
from pvserve.plan.lifecycle import clone_plan, gc_plan, remove_plan, unshare_plan
from pvserve.plan.steps import Plan
from pvserve.show.plan import plan_text
from pvserve.spec.place import parse_target

from .test_collecting import DAY, OLD, REPLACED, an_own_pod
from .test_collecting import facts as leftovers
from .test_sharing import CSI, a_share, a_shared, first_volume, shared
from .volume_facts import a_service, facts

DIRECTORY = Path(__file__).parents[2] / "golden" / "volumes"
GRANITE = parse_target("pvc://a/granite")
USED = Users((), (a_service({"predictor": {"model": {"storageUri": "pvc://a/granite"}}}),))
PLANS: dict[str, Callable[[], Plan]] = {
    "clone": lambda: clone_plan("a", "b", facts(), None, profile={"status": {"cloneStrategy": "csi-clone"}}),
    "clone-unknown": lambda: clone_plan("a", "b", facts(), None),
    "gc": lambda: gc_plan(leftovers(OLD, replaced=(REPLACED,), users=Users((an_own_pod("Failed", 1),), ())), DAY),
    "rm": lambda: remove_plan(GRANITE, facts(loader_image="kserve/storage-initializer:v1"), everything=True),
    "rm-in-use": lambda: remove_plan(GRANITE, facts(users=USED)),
    "rm-without-rights": lambda: remove_plan(
        GRANITE, facts(rights={Right("create", "", "pods/exec", "llm"): False}, loader_image="x")
    ),
    "share": lambda: shared(a_shared("csi", CSI)),
    "share-block": lambda: shared(a_shared("csi", CSI, "ReadWriteOnce")),
    "unshare": lambda: unshare_plan("a", a_share(), first_volume("llm/a")),
}


@pytest.mark.parametrize("name", PLANS)
def test_plan_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    golden, text = DIRECTORY / f"{name}.txt", plan_text(PLANS[name]())
    if request.config.getoption("--update-goldens"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_golden_file_has_its_plan() -> None:
    assert {file.stem for file in DIRECTORY.glob("*.txt")} == set(PLANS)
