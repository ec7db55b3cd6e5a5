"""What this machine's environment says about CAs and proxies.

Owns the values, for pods that have none of that environment. Must not read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Surroundings:
    """`certificates` are PEM, those of the public CAs left out; `left_out` are sentences about what is not passed on.

    `proxies` are by scheme. They are there only where this runs in a pod: another machine's network need not be the
    cluster's.
    """

    certificates: str = ""
    named_by: tuple[str, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    no_proxy: str = ""
    left_out: tuple[str, ...] = ()
