"""Names: what Kubernetes, KServe and the dashboard can take, with the suggestion that would do."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvserve.spec import names

TEXT = st.text(max_size=80)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # RFC 1123, spelled out again on purpose


@pytest.mark.parametrize("name", ["a", "granite-pvc", "7b", "a" * 63, "a-1"])
def test_labels(name: str) -> None:
    assert names.dns_label(name) == name


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "a" * 64, "é", "a b", "a\n", "٣"])
def test_no_labels(name: str) -> None:
    with pytest.raises(ValueError, match=r"must|has"):
        names.dns_label(name)


def test_a_near_label_is_suggested() -> None:
    with pytest.raises(ValueError, match="granite-7b-lab would do"):
        names.dns_label("Granite 7B_Lab")


def test_a_service_name_leaves_room_for_kserves_deployment_label() -> None:
    longest = "g" * names.SERVICE_NAME_MAX
    assert names.service_name(longest) == longest
    assert len(f"isvc.{longest}-predictor") == 63
    assert len(f"isvc.{'g' * names.WORKER_SERVICE_NAME_MAX}-predictor-worker") == 63
    with pytest.raises(ValueError, match=r"49 characters, at most 48 .*isvc\.NAME-predictor"):
        names.service_name(longest + "g")


@pytest.mark.parametrize(("name", "suggestion"), [("7b", "m-7b"), ("Granite_PVC", "granite-pvc"), ("", "m")])
def test_a_service_name_begins_with_a_letter_and_the_suggestion_is_one(name: str, suggestion: str) -> None:
    with pytest.raises(ValueError, match=f"{suggestion} would do"):
        names.service_name(name)
    assert names.service_name(suggestion) == suggestion


def test_the_host_name_of_service_and_namespace_must_fit_one_label() -> None:
    # kserve/kserve#4807: the controller stops at this very name.
    service, namespace = "t-44e43bb2", "this-is-a-long-project-name-with-40-characters"
    with pytest.raises(ValueError, match=r"at most 6 characters fit: .*t-44e43bb2-predictor-this-is"):
        names.host_label(service, namespace)
    assert names.host_label("granite", "llm") == "granite-predictor-llm"
    with pytest.raises(ValueError, match="no name fits"):
        names.host_label("a", "n" * 60)


@pytest.mark.parametrize(
    "path", ["granite-7b-lab", "llm/granite/v1", "Qwen2.5-7B", "模型/é", "a" * 255, ".hidden", "a:b"]
)
def test_paths(path: str) -> None:
    assert names.model_path(path) == path


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "root"),
        ("/", "root"),
        ("./", "root"),
        (".", "root"),
        ("/granite", "'granite' would do"),
        ("a b", "blanks"),
        ("a\n", "blanks"),
        ("a\u00a0b", "blanks"),
        ("a\x1bb", "control"),
        ("a\\b", "backslashes"),
        ("..", "'..'"),
        ("a/../b", "'..'"),
        ("a//b", "'a/b' would do"),
        ("a/", "'a' would do"),
        ("./a", "'a' would do"),
        (".pvserve/x", "belongs to others"),
        ("lost+found", "belongs to others"),
        ("é" * 128, "255 bytes"),
        ("/".join(["a" * 200] * 6), "1000 in all"),
    ],
)
def test_no_paths(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        names.model_path(path)


@given(TEXT)
def test_every_path_that_is_taken_pleases_the_dashboard_and_stays_below_the_root(path: str) -> None:
    try:
        names.model_path(path)
    except ValueError:
        return
    assert re.fullmatch(r"[^/\s][^\s]*", path)  # odh-dashboard, PVCInputField.tsx
    assert not {"", ".", ".."} & set(path.split("/"))


@given(TEXT, st.integers(1, 63))
def test_a_label_made_from_a_text_is_one_or_nothing(text: str, limit: int) -> None:
    label = names.label_from(text, limit)
    assert not label or (LABEL.fullmatch(label) and len(label) <= limit)


@pytest.mark.parametrize(("text", "expected"), [("granite", ("llm", "granite")), ("ns/granite", ("ns", "granite"))])
def test_origins(text: str, expected: tuple[str, str]) -> None:
    assert names.split_origin(names.origin(text), "llm") == expected


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a/b/c", "A"])
def test_no_origins(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        names.origin(text)


@pytest.mark.parametrize("name", ["gp3-csi", "ocs-storagecluster-ceph-rbd", "a.b.c"])
def test_object_names_may_have_dots(name: str) -> None:
    assert names.object_name(name) == name


@pytest.mark.parametrize("name", ["", "A", ".a", "a..b", "a" * 254])
def test_no_object_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"must|has"):
        names.object_name(name)
