"""Why the pods of a Deployment are not made at all.

Owns the reading of refusals by admission: events FailedCreate of ReplicaSets, condition ReplicaFailure of Deployments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import conditions, events_of, lasted, seen, when, with_reason
from pvserve.diagnose.rollout import current_replica_sets, owner_name
from pvserve.diagnose.values import Cause, Evidence, Seen, Words
from pvserve.facts import known, name

PATIENCE_SECONDS = (
    10.0  # usage of pods that just went is counted again, a Secret that a webhook misses is made, by then
)
PATIENT = ("QuotaExceeded", "WebhookRefused")

_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request')
_SILENT = re.compile(r'failed calling webhook "([^"]+)"')
_QUOTA = re.compile(r"exceeded quota: ([^,]+),")
_QUOTA_NEEDS = re.compile(r"failed quota: ([^:]+): must specify (.+)")
_LIMIT = re.compile(r"(maximum|minimum) \S+ usage per (Container|Pod)|max limit to request ratio per")
_SECURITY = re.compile(r'violates PodSecurity "([^"]+)"')
_SCC = re.compile("unable to validate against any security context constraint")
_ACCOUNT = re.compile(r"error looking up service account [^/]+/([^:]+):")


# pattern, code, whether waiting is hopeless, the words it fills
RULES: tuple[tuple[re.Pattern[str], str, bool, Callable[[re.Match[str]], Words]], ...] = (
    (_WEBHOOK, "WebhookRefused", True, lambda m: {"webhook": m[1]}),
    (_SILENT, "WebhookUnreachable", False, lambda m: {"webhook": m[1]}),
    (_QUOTA_NEEDS, "QuotaNeedsResources", True, lambda m: {"quota": m[1], "missing": m[2].strip()}),
    (_QUOTA, "QuotaExceeded", True, lambda m: {"quota": m[1]}),
    (_LIMIT, "LimitRangeExceeded", True, lambda _: {}),
    (_SECURITY, "PodSecurityRefused", True, lambda m: {"level": m[1]}),
    (_SCC, "SccRefused", True, lambda _: {}),
    (_ACCOUNT, "ServiceAccountMissing", True, lambda m: {"account": m[1]}),
)


def creation_causes(evidence: Evidence) -> Iterator[Cause]:
    """One cause for each Deployment whose pods are refused at present."""
    for deployment in known(evidence.deployments, ()):
        failing = conditions(deployment).get("ReplicaFailure", {})
        if failing.get("status") != "True":
            continue
        since = str(failing.get("lastTransitionTime") or "")
        condition = Seen(f"Deployment {name(deployment)}", f"{failing.get('reason')}: {failing.get('message')}", since)
        told = _refusals(evidence, name(deployment))
        yield refusal(evidence, f"Deployment {name(deployment)}", (told[-1],) if told else (condition,), since)


def _refusals(evidence: Evidence, deployment: str) -> tuple[Seen, ...]:
    sets = [item for item in current_replica_sets(evidence) if owner_name(item) == deployment]
    events = [event for item in sets for event in events_of(evidence, "ReplicaSet", item)]
    return tuple(seen(event) for event in sorted(with_reason(events, "FailedCreate"), key=when))


def refusal(evidence: Evidence, owner: str, observed: tuple[Seen, ...], since: str) -> Cause:
    """What a refused pod's message means."""
    said = observed[-1].observed
    words: Words = {"owner": owner, "namespace": evidence.namespace, "service": evidence.name}
    for pattern, code, terminal, fill in RULES:
        match = pattern.search(said)
        if match:
            late = code not in PATIENT or lasted(since, evidence, PATIENCE_SECONDS)
            return cause(code, *observed, hopeless=terminal and late, **words, **fill(match))
    return cause("PodNotCreated", *observed, **words)
