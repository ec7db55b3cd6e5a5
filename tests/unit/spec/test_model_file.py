"""Model files: what is read, what wins, and that every error says where."""

import contextlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvserve.errors import UsageError
from pvserve.spec import ModelSpec, Specs, read_specs

SHORT = "model: ./granite\nname: granite-pvc\nnamespace: llm\nfrom: granite\nclaim: cache\n"


def read(text: str, flags: dict[str, object] | None = None) -> Specs:
    return read_specs("-", flags, stdin=io.StringIO(text))


def one(text: str, flags: dict[str, object] | None = None) -> ModelSpec:
    return read(text, flags).specs[0]


def refused(text: str, flags: dict[str, object] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(text, flags)
    assert caught.value.remedy
    return caught.value


def test_five_lines_are_enough() -> None:
    spec = one(SHORT)
    assert (spec.name, spec.namespace, spec.origin, spec.claim.name) == ("granite-pvc", "llm", "granite", "cache")
    assert spec.model == os.path.abspath("granite")
    assert spec.destination == "granite"
    assert (spec.timeout, spec.claim.retain, spec.loader.via) == (1800, "auto", "auto")


def test_a_relative_model_counts_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sub" / "model.yaml"
    file.parent.mkdir()
    file.write_text(SHORT)
    monkeypatch.chdir(tmp_path)
    assert read_specs("sub/model.yaml").specs[0].model == str(tmp_path / "sub" / "granite")
    assert read_specs("sub/model.yaml", {"model": "other"}).specs[0].model == str(tmp_path / "other")
    file.write_text(SHORT.replace("./granite", "pvc://workbench/models/granite"))
    assert read_specs("sub/model.yaml").specs[0].model == "pvc://workbench/models/granite"


def test_flags_win_and_complete_the_short_claim() -> None:
    spec = one(SHORT, {"name": "other", "claim": {"size": "20Gi"}, "inPlace": False, "timeout": 5})
    assert (spec.name, spec.claim.name, spec.claim.size, spec.timeout) == ("other", "cache", "20Gi", 5)


def test_flags_alone_make_a_spec() -> None:
    spec = read_specs(None, {"model": "g", "name": "n", "from": "ns/o", "claim": {"name": "c"}}).specs[0]
    assert (spec.model, spec.origin, spec.claim.name) == (os.path.abspath("g"), "ns/o", "c")
    with pytest.raises(UsageError, match="`claim` is missing"):
        read_specs(None, {"model": "g", "name": "n"})


def test_in_place_the_service_to_start_from_is_the_service_to_be() -> None:
    spec = one("from: llm/granite\ninPlace: true\nclaim: c\nnamespace: llm\n")
    assert (spec.name, spec.in_place) == ("granite", True)
    assert one("claim: c\n", {"from": "granite", "inPlace": True}).name == "granite"
    assert "inPlace" in refused("name: a\nfrom: b\ninPlace: true\nclaim: c\n").message
    assert "inPlace" in refused("name: a\nfrom: x/a\nnamespace: y\ninPlace: true\nclaim: c\n").message


def test_several_documents() -> None:
    text = "# first\nname: a\nclaim: c\npath: x\n---\n---\nname: b\nclaim: c\npath: y\n...\n"
    assert [spec.name for spec in read(text).specs] == ["a", "b"]
    assert [spec.timeout for spec in read(text, {"timeout": 9}).specs] == [9, 9]
    error = refused(text, {"name": "z"})
    assert (error.reason, error.subject) == ("FlagForOneModel", "--name")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("name: a\nclaim: c\n---\nname: a\nclaim: d\n", "stdin:4:1", "service"),
        ("name: a\nclaim: c\npath: p\n---\nname: b\nclaim: c\npath: p\n", "stdin:5:1", "place"),
    ],
)
def test_two_models_of_one_file_must_differ(text: str, where: str, what: str) -> None:
    error = refused(text)
    assert (error.reason, error.subject) == ("SameTwice", where)
    assert what in error.message


@pytest.mark.parametrize(
    ("line", "column", "hint"),
    [
        ("clam: x", 1, "`claim`"),
        ("in_place: true", 1, "`inPlace`"),
        ("inplace: true", 1, "`inPlace`"),
        ("origin: x", 1, "`from`"),
        ("size: 10Gi", 1, "`claim.size`"),
        ("storage_class: x", 1, "`claim.storageClass`"),
        ("via: pod", 1, "`loader.via`"),
        ("loader: {imaeg: x}", 10, "`image`"),
        ("loader: {timeout: 5}", 10, "outermost"),
        ("xyzzy: 1", 1, "there are model, name"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_right_one_and_its_place(line: str, column: int, hint: str) -> None:
    error = refused(SHORT + "# a comment\n" + line + "\n")
    assert error.subject == f"stdin:7:{column}"
    assert hint in error.message


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        ("path: ../x", 7, "`path: ../x` must not contain '..'"),
        ("path: .pvserve/x", 7, "belongs to others"),
        ("timeout: soon", 10, "`timeout: soon` must be a whole number"),
        ("timeout: 0", 10, "must be at least 1"),
        ("timeout: 1.5", 10, "must be a whole number"),
        ("inPlace: maybe", 10, "must be true or false"),
        ("include: '*.json'", 10, 'must be a list, as ["*.json"]'),
        ("include: [a, '']", 14, "`include[1]: ` must not be empty"),
        ("include: [a, [b]]", 14, "must be a text, not a list"),
        ("loader: fast", 9, "must be a mapping of keys, not a text"),
        ("loader: {via: pot}", 15, "did you mean pod?"),
        ("runtime: [a]", 10, "`runtime` must be a text, not a list"),
        ("runtime: vllm", 1, "`from` and `runtime` exclude each other"),
        ("format: vLLM", 1, "`from` and `format` exclude each other"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(line: str, column: int, text: str) -> None:
    error = refused(SHORT + line + "\n")
    whole_document = "exclude each other" in text
    assert error.subject == ("stdin:1:1" if whole_document else f"stdin:6:{column}")
    assert text in error.message


def test_every_fault_is_reported_at_once_in_the_order_of_the_file() -> None:
    error = refused("name: A B\nclaim: {size: 10GB}\ntimeout: x\n")
    assert error.detail.splitlines() == [
        "stdin:1:7: `name: A B` must be lower-case letters, digits and '-', a letter first: a-b would do",
        "stdin:2:8: `claim.name` is missing",
        "stdin:2:15: `claim.size: 10GB` is no Kubernetes quantity, 10Gi would do",
        "stdin:3:10: `timeout: x` must be a whole number",
    ]
    assert "and 3 more" in error.message


@pytest.mark.parametrize(
    ("flags", "option"),
    [
        ({"claim": {"size": "10GB"}}, "--size"),
        ({"claim": {"name": "X"}}, "--claim"),
        ({"claim": {"storageClass": "X"}}, "--storage-class"),
        ({"path": ".."}, "--path"),
        ({"from": "/"}, "--from"),
        ({"include": [""]}, "--include"),
        ({"model": ""}, "SOURCE"),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, object], option: str) -> None:
    assert refused(SHORT, flags).subject == option


def test_a_name_too_long_for_its_namespace_is_refused() -> None:
    error = refused(f"name: granite\nclaim: c\nnamespace: {'n' * 50}\n")
    assert "granite-predictor-" in error.message
    assert "at most 2 characters fit" in error.message


def test_a_directory_name_that_cannot_be_a_path_asks_for_one() -> None:
    error = refused(SHORT.replace("./granite", "'./granite 7b'"))
    assert "`path` is needed" in error.message
    assert one(SHORT.replace("./granite", "'./granite 7b'") + "path: granite\n").destination == "granite"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/h/hub/models--ibm--granite-7b", "granite-7b"),
        ("/h/hub/models--ibm--granite-7b/snapshots/abc", "granite-7b"),
        ("/h/models--a--b/x", "x"),
        ("pvc://workbench/models/granite", "granite"),
        ("/m/granite/", "granite"),
    ],
)
def test_the_default_path_is_the_models_name(model: str, name: str) -> None:
    assert one(SHORT.replace("./granite", model)).destination == name


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("name: a\nname: b\n", "stdin:2:1", "given twice, first in line 1"),
        ("claim:\n  name: a\n  name: b\n", "stdin:3:3", "given twice, first in line 2"),
        ("name: a\n  b: c\n", "stdin:2:4", "mapping values"),
        ("\tname: a\n", "stdin:1:1", "cannot start any token"),
        ("name: *x\n", "stdin:1:7", "undefined alias"),
        ("name: !!python/object:os.system x\n", "stdin:1:7", "tag"),
        ("name: !x y\n", "stdin:1:7", "tag"),
        ("? [a]\n: b\n", "stdin:1:3", "a key must be a word"),
        ("claim:\n  <<: {name: x}\n", "stdin:2:3", "merge keys"),
        ("a: &a [*a]\n", "stdin:1:4", "too deep"),
        ("a: " + "[" * 5000, "stdin:1:1", "no model file"),
        ("#" * (300 << 10), "stdin:1:1", "characters"),
        ("name: a\x00", "stdin:1:1", "special characters"),
    ],
)
def test_bad_yaml_says_where(text: str, where: str, what: str) -> None:
    error = refused(text)
    assert (error.reason, error.subject) == ("YamlInvalid", where)
    assert what in error.message


def test_aliases_cannot_stand_for_a_billion_values() -> None:
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "too large" in refused(laughs).message


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "---\n---\n"])
def test_an_empty_file(text: str) -> None:
    error = refused(text)
    assert (error.reason, error.subject) == ("NotAModelFile", "stdin:1:1")


@pytest.mark.parametrize("text", ["- a\n", "hello\n", "[1]\n"])
def test_what_is_no_mapping(text: str) -> None:
    assert "mapping of keys" in refused(text).message


def test_a_kubernetes_object_is_recognised() -> None:
    error = refused("apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: a}\n")
    assert "InferenceService" in error.message
    assert "pvserve init" in error.remedy[0]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("runtime: no", "true or false"),
        ("inPlace: yes", "true or false"),
        ("timeout: 0755", "octal"),
        ("include: [on, a]", "true or false"),
    ],
)
def test_what_other_readers_take_for_something_else_is_warned_about(line: str, text: str) -> None:
    found = read(SHORT.replace("from: granite\n", "") + line + "\n")
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("stdin:5:")
    assert text in found.warnings[0]


def test_what_is_meant_is_what_is_read() -> None:
    spec = one("name: 'no'\nclaim: on\nruntime: yes\ninPlace: no\ntimeout: 0755\nformat: 1e3\npath: 0x1F\n")
    assert (spec.name, spec.claim.name, spec.runtime, spec.in_place) == ("no", "on", "yes", False)
    assert (spec.timeout, spec.format, spec.path) == (755, "1e3", "0x1F")


def test_quoted_words_are_not_warned_about() -> None:
    assert read("name: 'no'\nclaim: \"yes\"\n").warnings == ()


def test_a_key_without_a_value_means_its_default() -> None:
    spec = one(SHORT + "path:\ntimeout: ~\n")
    assert (spec.path, spec.timeout) == (None, 1800)
    assert refused("name: a\nclaim:\n").subject == "stdin:2:1"


@pytest.mark.parametrize("name", ["missing.yaml", "", "dir", "latin1.yaml", "nul\0.yaml"])
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "latin1.yaml").write_bytes(b"name: \xe9\n")
    file = str(tmp_path / name) if name else ""
    with pytest.raises(UsageError) as caught:
        read_specs(file)
    assert caught.value.reason == "ModelFileUnreadable"
    assert caught.value.subject == file


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SHORT.encode())
    assert read_specs(str(file)).specs[0].name == "granite-pvc"


@given(st.text(max_size=200))
def test_any_text_is_a_spec_or_a_usage_error(text: str) -> None:
    for candidate in (text, SHORT + text, f"name: {text}\nclaim: c\n"):
        with contextlib.suppress(UsageError):
            read(candidate)


@given(
    st.dictionaries(
        st.sampled_from(["name", "claim", "path", "include", "loader", "timeout", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_any_flags_are_a_spec_or_a_usage_error(flags: dict[str, object]) -> None:
    with contextlib.suppress(UsageError):
        read(SHORT, flags)
