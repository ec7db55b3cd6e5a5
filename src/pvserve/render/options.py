"""What a form has to be told beside the plan.

Owns these values.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """`repository` is the Git repository that the files are put into, `directory` where in it ("" = its root).

    `environment` names a kustomize overlay; "" = by its namespace.
    """

    repository: str = ""
    revision: str = "HEAD"
    directory: str = ""
    environment: str = ""
