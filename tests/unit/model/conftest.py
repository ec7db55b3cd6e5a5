"""Model directories made on the spot, and a digest cache of each test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from directories import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write files below a model directory and return it."""

    def write(files: Mapping[str, bytes | str]) -> Path:
        root = tmp_path / "model"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVSERVE_CACHE_DIR", str(tmp_path / "cache"))
