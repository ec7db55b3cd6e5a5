"""The pins: each wheel has a hash, no file names a host, and what two images share has one version."""

import os
import re
from pathlib import Path

import pytest

from bed.images import DEFAULT, KNOWN, ImageError, ensure
from bed.images.recipes import INSIDE, RECIPES, PythonImage
from bed.images.wheels import FOLDER, requirements

PINNED = sorted(path.stem for path in FOLDER.glob("*.in"))


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", requirements(name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", PINNED)
def test_each_wheel_has_an_exact_version_and_a_hash(name: str) -> None:
    wanted = re.sub(r"\\\n", "", requirements(name).read_text())
    lines = [line for line in wanted.splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.match(r"[a-z0-9.-]+==\S+ +--hash=sha256:[0-9a-f]{64}", line), line


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_pins_name_no_host(path: Path) -> None:
    assert "://" not in path.read_text()
    assert "--index" not in path.read_text()


@pytest.mark.parametrize("name", PINNED)
def test_pins_hold_what_was_asked_for(name: str) -> None:
    asked = re.findall(r"^([a-z0-9-]+)(?:==(\S+))?$", (FOLDER / f"{name}.in").read_text(), re.MULTILINE)
    assert asked
    for package, version in asked:
        assert pins(name)[package] == (version or pins(name)[package])


def test_a_model_is_pickled_by_the_scikit_learn_that_serves_it() -> None:
    for package in ("scikit-learn", "numpy", "joblib"):
        assert pins("models")[package] == pins("mlserver")[package]


def test_each_recipe_has_its_files_and_pins() -> None:
    for recipe in RECIPES:
        if isinstance(recipe, PythonImage):
            assert requirements(recipe.name).exists()
            assert all((INSIDE / name).exists() for name in recipe.files.values())
            assert recipe.entrypoint[0].removeprefix("/") in recipe.files


def test_the_large_image_is_made_only_when_asked_for() -> None:
    assert set(KNOWN) - set(DEFAULT) == {"bed.local/vllm-cpu:1"}


def test_an_unknown_image_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no recipe for the image bed.local/typo:1; there are: bed.local/pause:1"):
        ensure(tmp_path, ["bed.local/typo:1", "bed.local/pause:1"])
    assert not list(tmp_path.iterdir())


def test_without_root_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImageError, match=r"making bed\.local/busybox:1 needs root"):
        ensure(tmp_path, ["bed.local/busybox:1"])
    assert not list(tmp_path.iterdir())
