"""python -m bed.scc_webhook install|run --kubeconfig FILE --state DIR --webhook-host HOST --webhook-port PORT"""

from __future__ import annotations

import sys

from bed.kserve_emulator.command import carry_out, parser

from .serving import install, run


def main() -> int:
    """The command line."""
    options = parser("bed.scc_webhook", "OpenShift's SCC restricted-v2, as far as the bed needs it.").parse_args()
    return carry_out(options, install, run)


if __name__ == "__main__":
    sys.exit(main())
