"""Values files, --set and directories: what lies over what, and who is told to be wrong."""

import os
from pathlib import Path

import pytest

from pvserve.errors import UsageError
from pvserve.spec import read_specs

MODEL = "model: ./granite\nname: granite-pvc\nfrom: granite\nclaim: {name: cache, size: 10Gi}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.yaml").write_text(MODEL)
    return tmp_path / "model.yaml"


def written(folder: Path, name: str, text: str) -> str:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return name


def refused(file: str, **given: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_specs(file, **given)  # type: ignore[arg-type]
    assert caught.value.remedy
    return caught.value


def test_a_later_layer_wins_and_the_rest_stays(file: Path) -> None:
    stage = written(file.parent, "stage.yaml", "namespace: stage\nclaim: {size: 20Gi, storageClass: slow}\n")
    prod = written(file.parent, "prod.yaml", "namespace: prod\nclaim: {storageClass: fast}\n")
    layers = {"values": [stage, prod], "assignments": ["claim.size=30Gi", "timeout=5"]}
    spec = read_specs("model.yaml", {"timeout": 7}, **layers).specs[0]
    claim = spec.claim
    assert (spec.namespace, spec.timeout) == ("prod", 7)
    assert (claim.name, claim.size, claim.storage_class) == ("cache", "30Gi", "fast")


def test_a_claim_given_by_its_name_keeps_the_other_keys_of_the_claim(file: Path) -> None:
    prod = written(file.parent, "prod.yaml", "claim: other\n")
    for given in ({"values": [prod]}, {"assignments": ["claim=other"]}):
        claim = read_specs("model.yaml", **given).specs[0].claim
        assert (claim.name, claim.size) == ("other", "10Gi")


def test_a_relative_model_counts_from_where_it_was_given(file: Path) -> None:
    prod = written(file.parent, "env/prod.yaml", "model: ./tuned\n")
    assert read_specs("model.yaml", values=[prod]).specs[0].model == str(file.parent / "env" / "tuned")
    assert read_specs("model.yaml", assignments=["model=tuned"]).specs[0].model == os.path.abspath("tuned")


def test_set_reads_values_as_yaml_and_a_later_one_wins(file: Path) -> None:
    given = ['include=["*.json", a.bin]', "inPlace=true", "name=granite", "timeout=1", "timeout=2", "claim.name='no'"]
    spec = read_specs("model.yaml", assignments=given).specs[0]
    assert (spec.include, spec.in_place, spec.timeout, spec.claim.name) == (("*.json", "a.bin"), True, 2, "no")


def test_an_unknown_key_is_refused_where_it_stands_with_the_nearest_right_one(file: Path) -> None:
    prod = written(file.parent, "prod.yaml", "namespace: prod\nclaim:\n  storageclass: fast\n")
    error = refused("model.yaml", values=[prod])
    assert (error.reason, error.subject) == ("ModelFileInvalid", "prod.yaml:3:3")
    assert "did you mean `storageClass`" in error.message
    error = refused("model.yaml", assignments=["claim.sise=1Gi"])
    assert error.subject == "--set claim.sise"
    assert "did you mean `size`" in error.message


def test_a_wrong_value_is_told_of_the_layer_that_gave_it(file: Path) -> None:
    prod = written(file.parent, "prod.yaml", "namespace: prod\ntimeout: soon\n")
    assert refused("model.yaml", values=[prod]).subject == "prod.yaml:2:10"
    assert refused("model.yaml", values=[prod], assignments=["timeout=later"]).subject == "--set timeout"
    assert read_specs("model.yaml", {"timeout": 3}, values=[prod]).specs[0].timeout == 3


@pytest.mark.parametrize(
    "text", ["timeout", "=5", "claim..size=1", "a b=1", "timeout=", "timeout=[1", "timeout=5\n---\n6"]
)
def test_what_is_no_assignment_is_refused(file: Path, text: str) -> None:
    assert refused("model.yaml", assignments=[text]).reason in ("ModelFileInvalid", "YamlInvalid")


def test_a_values_file_is_one_mapping_for_all_models(file: Path) -> None:
    two = written(file.parent, "two.yaml", "timeout: 1\n---\ntimeout: 2\n")
    assert refused("model.yaml", values=[two]).subject == "two.yaml:3:1"
    assert refused("model.yaml", values=[written(file.parent, "none.yaml", "# nothing\n")]).subject == "none.yaml:1:1"
    assert refused("model.yaml", values=[written(file.parent, "list.yaml", "[1]\n")]).reason == "NotAModelFile"
    assert refused("model.yaml", values=["missing.yaml"]).reason == "ModelFileUnreadable"


def test_a_directory_is_its_model_files_sorted_and_not_what_is_hidden_or_below(file: Path) -> None:
    for name in ("b.yaml", "a.yml", ".hidden.yaml", "note.txt", "below/c.yaml"):
        written(file.parent / "models", name, "") if "/" not in name else (file.parent / "models" / "below").mkdir()
        (file.parent / "models" / name).write_text(f"name: {Path(name).stem.strip('.')}\nclaim: c\npath: {name}\n")
    assert [spec.name for spec in read_specs("models").specs] == ["a", "b"]
    assert [spec.timeout for spec in read_specs("models", assignments=["timeout=9"]).specs] == [9, 9]


def test_what_means_one_model_is_refused_for_several(file: Path) -> None:
    written(file.parent, "models/a.yaml", "name: a\nclaim: c\npath: a\n---\nname: b\nclaim: c\npath: b\n")
    named = written(file.parent, "named.yaml", "name: x\n")
    assert refused("models", values=[named]).reason == "FlagForOneModel"
    assert refused("models", assignments=["path=x"]).subject == "--set path"


def test_the_same_service_in_two_files_is_refused_with_both_names(file: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        written(file.parent / "models", name, "name: same\nclaim: c\npath: p\n")
    error = refused("models")
    assert error.reason == "SameTwice"
    assert os.path.join("models", "a.yaml") in error.message
    assert error.subject == f"{os.path.join('models', 'b.yaml')}:1:1"


def test_variables_lie_above_values_and_below_set(file: Path) -> None:
    values = written(file.parent, "prod.yaml", "claim: {size: 20Gi, storageClass: slow, accessMode: ReadWriteOnce}\n")
    environment = {"PVSERVE_SET_CLAIM_STORAGE_CLASS": "fast", "PVSERVE_SET_CLAIM_ACCESS_MODE": "ReadWriteMany"}
    environment |= {"PVSERVE_SET_INCLUDE": '["*.json"]', "PVSERVE_SET_IN_PLACE": "true", "HOME": "/root"}
    given = ["claim.accessMode=ReadWriteOncePod", "name=granite"]
    spec = read_specs("model.yaml", values=[values], environment=environment, assignments=given).specs[0]
    claim = spec.claim
    assert (claim.size, claim.storage_class, claim.access_mode) == ("20Gi", "fast", "ReadWriteOncePod")
    assert (spec.include, spec.in_place) == (("*.json",), True)


def test_a_variable_for_the_claim_as_a_whole_gives_its_name(file: Path) -> None:
    claim = read_specs("model.yaml", environment={"PVSERVE_SET_CLAIM": "other"}).specs[0].claim
    assert (claim.name, claim.size) == ("other", "10Gi")


def test_without_a_model_file_variables_are_not_looked_at() -> None:
    flags = {"name": "a", "format": "f", "claim": "c"}
    assert read_specs(None, flags, environment={"PVSERVE_SET_NOPE": "1"}).specs[0].name == "a"


def test_what_is_wrong_with_a_variable_is_said_of_it(file: Path) -> None:
    unknown = refused("model.yaml", environment={"PVSERVE_SET_CLAIM_SIZ": "1Gi"})
    assert unknown.subject == "PVSERVE_SET_CLAIM_SIZ"
    assert "did you mean PVSERVE_SET_CLAIM_SIZE?" in unknown.message
    assert refused("model.yaml", environment={"PVSERVE_SET_CLAIM_SIZE": "much"}).subject == "PVSERVE_SET_CLAIM_SIZE"
    assert "has no value" in refused("model.yaml", environment={"PVSERVE_SET_TIMEOUT": ""}).message
    assert refused("model.yaml", environment={"PVSERVE_SET_TIMEOUT": "[1"}).reason == "YamlInvalid"


def test_a_variable_for_one_model_is_refused_for_several(file: Path) -> None:
    file.write_text(f"{MODEL}---\n{MODEL.replace('granite-pvc', 'b').replace('cache', 'd')}")
    assert refused("model.yaml", environment={"PVSERVE_SET_NAME": "x"}).subject == "PVSERVE_SET_NAME"
