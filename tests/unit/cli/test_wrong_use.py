"""Wrong use, each way: its exit code, one sentence that names what is wrong, no traceback; the same for machines."""

from pathlib import Path

import pytest

from pvserve.cli.main import COMMANDS

from .conftest import Run

G = ("--name", "granite-pvc", "--from", "granite", "--claim", "cache")
WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "misspelt command": (("deply",), 2, "did you mean deploy?"),
    "unknown command": (("xyzzy",), 2, "no command 'xyzzy'"),
    "misspelt flag": (("deploy", "./granite", "--clame", "x"), 2, "--claim"),
    "flag without value": (("ls", "-n"), 2, "-n"),
    "no argument": (("verify",), 2, "TARGET"),
    "too many arguments": (("status", "a", "b"), 2, "b"),
    "form of output": (("ls", "-o", "xml"), 2, "xml"),
    "timeout of requests": (("ls", "--request-timeout", "0"), 2, "--request-timeout"),
    "timeout no number": (("deploy", "./granite", *G, "--timeout", "soon"), 2, "soon"),
    "timeout too small": (("deploy", "./granite", *G, "--timeout", "0"), 2, "at least 1"),
    "nothing said": (("deploy",), 2, "claim"),
    "no such directory": (("deploy", "./missing", *G), 2, "missing"),
    "a file as directory": (("deploy", "./kubeconfig", *G), 2, "kubeconfig"),
    "empty directory": (("deploy", "./empty", *G), 3, "empty"),
    "bad name": (("deploy", "./granite", "--name", "Bad_Name", "--claim", "c"), 2, "bad-name would do"),
    "long name": (("deploy", "./granite", "--name", "n" * 64, "--claim", "c"), 2, "64 characters"),
    "bad claim": (("deploy", "./granite", "--name", "g", "--claim", "c_"), 2, "--claim"),
    "bad namespace": (("ls", "-n", "No_Such"), 2, "--namespace"),
    "namespace that would be a path": (("ls", "-n", "../kube-system"), 2, "--namespace"),
    "name that would be a path": (("rollback", "../x"), 2, "NAME"),
    "name of init": (("init", "a/b"), 2, "NAME"),
    "target of verify": (("verify", "../x"), 2, "TARGET"),
    "place with ..": (("verify", "pvc://c/../x"), 2, "'..'"),
    "path with ..": (("deploy", "./granite", *G, "--path", "../x"), 2, "'..'"),
    "absolute path": (("deploy", "./granite", *G, "--path", "/x"), 2, "must not begin with '/'"),
    "target with ..": (("load", "./granite", "pvc://cache/../x"), 2, "'..'"),
    "target without scheme": (("load", "./granite", "cache/x"), 2, "pvc://"),
    "target without claim": (("load", "./granite", "pvc:///x"), 2, "claim"),
    "size": (("deploy", "./granite", *G, "--size", "20 gigs"), 2, "20 gigs"),
    "access mode": (("deploy", "./granite", *G, "--access-mode", "ReadWriteOften"), 2, "ReadWriteOnce"),
    "channel": (("load", "./granite", "pvc://c/x", "--via", "pigeon"), 2, "pigeon"),
    "from and runtime": (("serve", "g", "--claim", "c", "--from", "a", "--runtime", "r"), 2, "exclude each other"),
    "no model file": (("deploy", "-f", "nope.yaml"), 2, "nope.yaml"),
    "misspelt key": (("deploy", "-f", "misspelt.yaml"), 2, "misspelt.yaml:2:1"),
    "broken YAML": (("plan", "-f", "broken.yaml"), 2, "broken.yaml:2:1"),
    "a manifest as model file": (("plan", "-f", "manifest.yaml"), 2, "Kubernetes Pod"),
    "empty stdin": (("plan", "-f", "-"), 2, "stdin is empty"),
    "no such plan": (("deploy", "none.json"), 2, "none.json"),
    "no plan": (("deploy", "other.json"), 2, "other.json"),
    "plan with flags": (("deploy", "other.json", "--claim", "c"), 2, "--claim would be ignored"),
    "plan with namespace": (("plan", "other.json", "-n", "llm"), 2, "--namespace would be ignored"),
    "name of a plan": (("plan", "./granite", *G, "--out", "plan.txt"), 2, "--out plan.txt.json"),
    "render to stdout": (("render", "./granite", *G, "--to", "kustomize"), 2, "--dir"),
    "unknown form": (("render", "./granite", *G, "--to", "tar"), 2, "tar"),
    "half a request": (("verify", "g", "--request", "{}"), 2, "--request-path"),
    "request no JSON": (("verify", "g", "--request", "{", "--request-path", "/v1"), 2, "no JSON"),
    "no such kubeconfig": (("ls", "--kubeconfig", "none"), 2, "none"),
    "no such context": (("ls", "--context", "prod"), 2, "prod"),
    "unreachable": (("ls",), 5, "https://127.0.0.1:1"),
}

FOR_PEOPLE = ("form of output", "render to stdout")  # not wrong with -o json


@pytest.fixture(autouse=True)
def files(place: Path) -> None:
    (place / "empty").mkdir()
    (place / "misspelt.yaml").write_text("model: ./granite\nnmae: g\nclaim: c\n")
    (place / "broken.yaml").write_text("model: [\n")
    (place / "manifest.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    (place / "other.json").write_text('{"a": 1}')


@pytest.mark.parametrize("what", list(WRONG))
def test_wrong_use_is_said_in_a_sentence(run: Run, what: str) -> None:
    args, code, words = WRONG[what]
    said = run(*args)
    assert said.code == code
    assert said.out == ""
    assert said.err.startswith("error (")
    assert words in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("what", [what for what in WRONG if what not in FOR_PEOPLE])
def test_wrong_use_is_one_json_object_for_machines(run: Run, what: str) -> None:
    args, code, words = WRONG[what]
    at = 1 if args[0] in COMMANDS else len(args)
    said = run(*args[:at], "-o", "json", *args[at:])
    (error,) = said.objects
    assert error["type"] == "error"
    assert (said.code, error["error"]["exitCode"]) == (code, code)
    assert words in str(error["error"]).replace("\\'", "'")
    assert said.err == ""


@pytest.mark.parametrize("flags", [("-o", "yaml"), ("-oyaml",), ("--output", "yaml"), ("--output=yaml",)])
def test_wrong_use_is_one_yaml_document(run: Run, flags: tuple[str, ...]) -> None:
    (error,) = run("verify", "pvc://c/../x", *flags).documents
    assert (error["type"], error["error"]["reason"]) == ("error", "NotAPlace")


def test_a_misspelt_key_is_said_with_the_right_one(run: Run) -> None:
    assert "did you mean `name`?" in run("plan", "-f", "misspelt.yaml").err


def test_what_cannot_be_read_says_why(run: Run, place: Path) -> None:
    (place / "plan.json").mkdir()
    assert "Is a directory" in run("deploy", "plan.json").err


def test_a_fault_of_pvserve_itself_is_told_from_wrong_use(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pvserve.spec.model.schema", broken)
    said = run("schema")
    assert said.code == 1
    assert "InternalError" in said.err
    assert "ZeroDivisionError" in said.err
