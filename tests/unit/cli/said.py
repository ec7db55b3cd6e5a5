"""What a command said."""

import json
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The YAML documents of stdout."""
        return list(yaml.safe_load_all(self.out))
