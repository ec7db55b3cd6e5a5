"""What commands do with a plan: shown, asked for, carried out or not, in words and for machines."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.api import models
from pvserve.api.gathering import GOALS
from pvserve.api.many import Member
from pvserve.api.planned import Planned
from pvserve.apply.run import Applied
from pvserve.cli import carry
from pvserve.cli import render as offered
from pvserve.errors import NotAllowed, PvserveError, Refused, Temporary
from pvserve.plan.steps import ApplyObject, Plan, Prove, Refusal
from pvserve.render import FORMS
from pvserve.spec import ModelSpec
from pvserve.verify.proof import Check, Proof

from .conftest import Run

G = ("./granite", "--name", "granite-pvc", "--from", "granite", "--claim", "cache")


def claim(size: str = "20Gi") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "cache", "namespace": "llm"},
        "spec": {"resources": {"requests": {"storage": size}}},
    }


MAKES = Plan("llm", "granite-pvc", "cache", "granite", steps=(ApplyObject("claim", "make claim cache", claim()),))
PROVES = replace(MAKES, steps=(Prove("prove", "prove it", "granite-pvc"),))
REFUSED = replace(MAKES, refusals=(Refusal("ClaimTooSmall", "claim cache has 1Gi", ("grow it",)),))
FORBIDDEN = replace(MAKES, refusals=(Refusal("MissingRights", "you may not create pods", (), 4),))
PROOF = Proof("granite-pvc", (Check("mount", "the claim is mounted", "passed", "seen"),))


class Kept:
    """The rooms below the command line: the plan that they would make, and whether it was carried out."""

    def __init__(self) -> None:
        self.plan = MAKES
        self.proof: Proof | None = PROOF
        self.specs: list[ModelSpec] = []
        self.goals: list[frozenset[str]] = []
        self.applied: list[Plan] = []
        self.broken: dict[str, PvserveError] = {}  # models that cannot be planned
        self.failing: dict[str, PvserveError] = {}  # models that cannot be carried out

    def make(self, spec: ModelSpec, _cluster: Any, *, goals: frozenset[str] = GOALS, **_given: bool) -> Planned:
        self.specs.append(spec)
        self.goals.append(goals)
        return Planned(replace(self.plan, service=spec.name), None)

    def make_many(self, specs: list[ModelSpec], cluster: Any, **given: Any) -> tuple[Member, ...]:
        return tuple(
            Member(spec.name, cluster, spec.claim.name, failure=self.broken[spec.name], spec=spec)
            if spec.name in self.broken
            else Member(spec.name, cluster, spec.claim.name, self.make(spec, cluster, **given), spec=spec)
            for spec in specs
        )

    def apply(self, planned: Planned, _cluster: Any, **_given: Any) -> models.Outcome:
        self.applied.append(planned.plan)
        if planned.plan.service in self.failing:
            raise self.failing[planned.plan.service]
        return models.Outcome(planned.plan, Applied(("claim",)), self.proof)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    below = Kept()
    monkeypatch.setattr(models, "plan", below.make)
    monkeypatch.setattr(models, "apply", below.apply)
    monkeypatch.setattr(carry, "plan_many", below.make_many)
    return below


def test_without_a_terminal_nobody_is_asked_and_nothing_is_done(run: Run, kept: Kept) -> None:
    said = run("deploy", *G)
    assert said.code == 2
    assert "add -y" in said.err
    assert kept.applied == []


@pytest.mark.parametrize("command", [("load", "./granite", "pvc://cache/x"), ("serve", "g", "--claim", "cache")])
def test_the_other_commands_that_change_ask_too(run: Run, kept: Kept, command: tuple[str, ...]) -> None:
    assert run(*command).code == 2
    assert kept.applied == []
    assert run(*command, "-y").code == 0
    assert len(kept.applied) == 1


def test_with_yes_it_is_carried_out_and_proven(run: Run, kept: Kept) -> None:
    said = run("deploy", *G, "-y")
    assert said.code == 0
    assert "make claim cache" in said.out
    assert "proven: 1 passed" in said.out


def test_where_nothing_changes_nobody_needs_to_be_asked(run: Run, kept: Kept) -> None:
    kept.plan = PROVES
    assert run("deploy", *G).code == 0
    assert len(kept.applied) == 1


@pytest.mark.parametrize("flags", [(), ("-y",)])
def test_a_dry_run_shows_the_plan_and_does_nothing(run: Run, kept: Kept, flags: tuple[str, ...]) -> None:
    said = run("deploy", *G, "--dry-run", *flags)
    assert said.code == 0
    assert "make claim cache" in said.out
    assert kept.applied == []


@pytest.mark.parametrize(("plan", "code"), [(REFUSED, 3), (FORBIDDEN, 4)])
@pytest.mark.parametrize("command", ["deploy", "plan", "render"])
def test_a_refused_plan_has_its_exit_code_and_nothing_is_done(
    run: Run, kept: Kept, plan: Plan, code: int, command: str
) -> None:
    kept.plan = plan
    said = run(command, *G, *(("-y",) if command == "deploy" else ()))
    assert said.code == code
    assert plan.refusals[0].message in said.err
    assert kept.applied == []


@pytest.mark.parametrize(("result", "code"), [("passed", 0), ("failed", 1), ("unknown", 10)])
def test_the_exit_code_is_that_of_the_proof(run: Run, kept: Kept, result: Any, code: int) -> None:
    kept.proof = Proof("g", (Check("mount", "m", result, "seen"),))
    assert run("deploy", *G, "-y").code == code


@pytest.mark.parametrize(("plan", "flags", "code"), [(MAKES, True, 9), (PROVES, True, 0), (MAKES, False, 0)])
def test_pending_changes_have_an_exit_code_where_asked_for(
    run: Run, kept: Kept, plan: Plan, flags: bool, code: int
) -> None:
    kept.plan = plan
    assert run("plan", *G, *(("--detailed-exitcode",) if flags else ())).code == code


def test_for_machines_the_plan_comes_first_and_one_result_last(run: Run, kept: Kept) -> None:
    said = run("deploy", *G, "-y", "-o", "json")
    assert [item["type"] for item in said.objects] == ["plan", "result"]
    assert said.objects[0]["plan"]["steps"][0]["step"] == "ApplyObject"
    assert said.objects[1]["proof"]["passed"] is True


def test_a_plan_for_machines_is_one_result(run: Run, kept: Kept) -> None:
    (result,) = run("plan", *G, "-o", "json").objects
    assert (result["type"], result["changesPending"]) == ("result", True)
    assert run("plan", *G, "-o", "yaml").documents == [result]


def test_a_saved_plan_is_carried_out_as_it_was_shown(run: Run, kept: Kept) -> None:
    assert run("plan", *G, "--out", "plan.json").code == 0
    kept.specs.clear()
    assert run("deploy", "plan.json", "-y").code == 0
    assert kept.applied == [MAKES]
    assert kept.specs == []


def test_a_saved_plan_can_be_shown_again_with_its_exit_code(run: Run, kept: Kept) -> None:
    run("plan", *G, "--out", "plan.json")
    said = run("plan", "plan.json", "--detailed-exitcode")
    assert said.code == 9
    assert "make claim cache" in said.out


def test_a_plan_that_is_refused_is_not_saved(run: Run, kept: Kept, place: Path) -> None:
    kept.plan = REFUSED
    run("plan", *G, "--out", "plan.json")
    assert not (place / "plan.json").exists()


def test_a_plan_that_cannot_be_saved_is_said_so(run: Run, kept: Kept) -> None:
    said = run("plan", *G, "--out", "kubeconfig/plan.json")
    assert said.code == 2
    assert "cannot be written" in said.err


def test_flags_reach_the_spec(run: Run, kept: Kept) -> None:
    flags = "--size 9Gi --storage-class fast --access-mode ReadWriteMany --retain no --image i:1 --via exec --replace"
    flags += " --no-claim-copy"
    run("plan", *G, *flags.split(), "--include", "a*", "--include", "b*", "--exclude", "c", "--timeout", "7")
    (spec,) = kept.specs
    assert spec.claim.model_dump() == {
        "name": "cache",
        "size": "9Gi",
        "storage_class": "fast",
        "access_mode": "ReadWriteMany",
        "retain": "no",
    }
    assert spec.loader.model_dump() == {"image": "i:1", "via": "exec", "claim_copy": False, "replace": True}
    assert (spec.include, spec.exclude, spec.timeout) == (("a*", "b*"), ("c",), 7)


def test_runtime_and_format_reach_the_spec(run: Run, kept: Kept) -> None:
    run("serve", "g", "--claim", "cache", "--runtime", "vllm", "--format", "vLLM", "--path", "p", "-y")
    assert (kept.specs[0].runtime, kept.specs[0].format, kept.specs[0].path) == ("vllm", "vLLM", "p")
    assert kept.goals == [frozenset({"serve"})]


def test_a_load_is_for_bytes_only_and_has_the_directory_s_name_where_none_is_given(run: Run, kept: Kept) -> None:
    run("load", "./granite", "pvc://cache", "-y")
    assert kept.goals == [frozenset({"load"})]
    assert kept.specs[0].destination == "granite"


def test_flags_win_over_the_model_file(run: Run, kept: Kept, place: Path) -> None:
    (place / "model.yaml").write_text("model: ./granite\nname: a\nfrom: granite\nclaim: one\n")
    run("plan", "-f", "model.yaml", "--claim", "two")
    assert kept.specs[0].claim.name == "two"


def test_a_model_file_comes_from_stdin_too(run: Run, kept: Kept) -> None:
    assert run("plan", "-f", "-", stdin="model: ./granite\nname: a\nfrom: granite\nclaim: one\n").code == 0
    assert kept.specs[0].name == "a"


def test_warnings_of_the_model_file_do_not_disturb_machines(run: Run, kept: Kept) -> None:
    said = run("plan", "-f", "-", "-o", "json", stdin="model: ./granite\nname: a\nclaim: one\nfrom: no\n")
    assert len(said.objects) == 1


ONE = "model: ./granite\nname: {}\nfrom: granite\nclaim: "
TWO = f"{ONE}one\n---\n{ONE}two\n"


def test_several_models_are_planned_first_then_carried_out_each_with_its_result(run: Run, kept: Kept) -> None:
    said = run("deploy", "-f", "-", "-y", "-o", "json", stdin=TWO.format("a", "b"))
    assert said.code == 0
    assert [item["type"] for item in said.objects] == ["plan", "plan", "result", "result", "summary"]
    assert [item["model"] for item in said.objects[:2]] == ["a", "b"]
    assert {plan.service for plan in kept.applied} == {"a", "b"}
    assert [row["state"] for row in said.objects[-1]["models"]] == ["ok", "ok"]


def test_one_model_s_failure_stops_no_other_and_the_exit_code_is_the_most_serious(run: Run, kept: Kept) -> None:
    three = TWO.format("a", "b") + f"---\n{ONE.format('c')}three\n"
    kept.broken["a"] = Refused("GgufDamaged", "m.gguf is cut off")
    kept.failing["b"] = Temporary("Unreachable", "the cluster does not answer")
    said = run("deploy", "-f", "-", "-y", stdin=three)
    assert said.code == 5
    assert [plan.service for plan in kept.applied] == ["b", "c"]
    assert "m.gguf is cut off" in said.err
    assert "b: error (Unreachable)" in said.err
    assert said.out.splitlines()[-4:] == [
        "3 models: 2 failed, 1 ok",
        "  a  failed  (GgufDamaged) m.gguf is cut off",
        "  b  failed  (Unreachable) the cluster does not answer",
        "  c  ok      changed, proven",
    ]


def test_one_error_that_all_models_have_is_said_once(run: Run, kept: Kept) -> None:
    kept.broken = {name: NotAllowed("NotLoggedIn", "nobody is logged in") for name in ("a", "b")}
    said = run("plan", "-f", "-", stdin=TWO.format("a", "b"))
    assert (said.code, said.out) == (4, "")
    assert said.err.count("nobody is logged in") == 1


def test_plans_of_several_models_stand_under_their_names_with_a_line_each_at_the_end(run: Run, kept: Kept) -> None:
    said = run("plan", "-f", "-", "--detailed-exitcode", stdin=TWO.format("a", "b"))
    assert said.code == 9
    assert "== a (namespace llm)" in said.out
    assert said.out.splitlines()[-3:] == ["2 models: 2 pending", "  a  pending  1 steps", "  b  pending  1 steps"]


def test_several_plans_are_saved_in_one_file_and_carried_out_as_they_were_shown(run: Run, kept: Kept) -> None:
    assert run("plan", "-f", "-", "--out", "plan.json", stdin=TWO.format("a", "b")).code == 0
    kept.specs.clear()
    assert run("deploy", "plan.json", "-y", "--parallel", "1").code == 0
    assert [plan.service for plan in kept.applied] == ["a", "b"]
    assert kept.specs == []


def test_plans_are_saved_all_or_none(run: Run, kept: Kept, place: Path) -> None:
    kept.broken["b"] = Refused("GgufDamaged", "m.gguf is cut off")
    assert run("plan", "-f", "-", "--out", "plan.json", stdin=TWO.format("a", "b")).code == 3
    assert not (place / "plan.json").exists()


@pytest.mark.parametrize("text", ["[]", "null", '{"pvservePlans": 9, "plans": []}', '{"pvservePlans": 1}', "{"])
def test_what_is_no_saved_plan_is_said_so(run: Run, kept: Kept, place: Path, text: str) -> None:
    (place / "plan.json").write_text(text)
    said = run("deploy", "plan.json", "-y")
    assert said.code == 2
    assert "plan.json is no plan that pvserve wrote" in said.err


def test_render_writes_to_stdout_what_can_be_applied(run: Run, kept: Kept) -> None:
    said = run("render", "-f", "-", stdin=TWO.format("a", "b"))
    assert [document["kind"] for document in yaml.safe_load_all(said.out)] == ["PersistentVolumeClaim"] * 2


def test_render_writes_files_and_names_them(run: Run, kept: Kept, place: Path) -> None:
    said = run("render", *G, "--to", "kustomize", "--dir", "out")
    names = said.out.splitlines()
    assert said.code == 0
    assert "out/granite-pvc/overlays/llm/claim.yaml" in names
    assert all((place / name).is_file() for name in names)


def test_render_for_machines_holds_the_files(run: Run, kept: Kept) -> None:
    (result,) = run("render", *G, "--to", "kustomize", "-o", "json").objects
    assert "granite-pvc/overlays/llm/kustomization.yaml" in result["files"]


def test_render_does_not_let_one_model_overwrite_another(
    run: Run, kept: Kept, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = iter(("1Gi", "2Gi"))

    def make(*_args: Any, **_given: Any) -> Planned:
        return Planned(replace(MAKES, steps=(ApplyObject("claim", "make", claim(next(sizes))),)), None)

    monkeypatch.setattr(kept, "make", make)
    said = run("render", "-f", "-", "--dir", "out", stdin=TWO.format("a", "b"))
    assert said.code == 2
    assert "two models would be written to granite-pvc.yaml" in said.err
    assert not (place / "out").exists()


def test_render_offers_the_forms_that_there_are() -> None:
    assert tuple(FORMS) == offered.FORMS
