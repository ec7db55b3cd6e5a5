"""What to look at when admission refused an object.

Owns the words of admission's refusals. Pure.
"""

from __future__ import annotations

import re

# kubernetes plugin/pkg/admission/{resourcequota,limitranger}, pod-security-admission, webhook; the last one is what
# validation says of a request that a LimitRange's default limit went below.
_RULES = (
    (
        re.compile(r"failed quota: (?P<name>[^:]+): must specify (?P<missing>[\w./-]+)"),
        (
            "kubectl describe resourcequota {name}{where}",
            "pods that name no {missing} are let in where a LimitRange fills it in: kubectl describe limitrange{where}",
        ),
    ),
    (
        re.compile(r"exceeded quota: (?P<name>[^,]+),"),
        ("kubectl describe resourcequota {name}{where}", "free what it counts, or have it raised"),
    ),
    (
        re.compile(r"(?:maximum|minimum) \S+ usage per|max limit to request ratio per|less than or equal to \w+ limit"),
        ("kubectl describe limitrange{where}", "have it allow what the object asks for"),
    ),
    (re.compile(r"violates PodSecurity"), ("kubectl get namespace {namespace} --show-labels",)),
    (
        re.compile(r'admission webhook "[^"]+" denied'),
        ("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations", "mend what its message names"),
    ),
)


def refused_by_admission(message: str, namespace: str) -> tuple[str, ...]:
    """The remedy for a refusal of an object in `namespace`, "" for none; () where its words are not known."""
    for pattern, lines in _RULES:
        if found := pattern.search(message):
            words = {**found.groupdict(), "namespace": namespace, "where": f" -n {namespace}" if namespace else ""}
            return tuple(line.format_map(words) for line in lines)
    return ()
