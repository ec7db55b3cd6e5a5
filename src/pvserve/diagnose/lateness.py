"""What is left when no nearer cause is known: deadlines, closed networks, what may not be read.

Owns the findings of last resort.
"""

from __future__ import annotations

from collections.abc import Iterator

from pvserve.diagnose import pods as looking
from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import conditions
from pvserve.diagnose.values import Cause, Evidence, Found, Many, PodEvidence, Seen, Words
from pvserve.facts import Object, Unknown, known, labels, name


def deadline_causes(evidence: Evidence, pods: tuple[Object, ...]) -> Iterator[Cause]:
    """Deployments whose progress deadline has passed.

    Nothing ends by that: a server that is still loading becomes ready later (KServe leaves the deadline at 600 s and
    offers no other, kserve#5684), so it is hopeless only when no container is on its way.
    """
    for deployment in known(evidence.deployments, ()):
        told = conditions(deployment).get("Progressing", {})
        if told.get("status") == "False" and told.get("reason") == "ProgressDeadlineExceeded":
            said = Seen(
                f"Deployment {name(deployment)}",
                f"{told.get('reason')}: {told.get('message')}",
                str(told.get("lastTransitionTime") or ""),
            )
            own = (pod for pod in pods if _of(deployment, pod))
            loading = any(_loading(container) for pod in own for container in looking.containers(pod))
            seconds = deployment["spec"].get("progressDeadlineSeconds", 600)
            words: Words = {
                "deployment": name(deployment),
                "namespace": evidence.namespace,
                "service": evidence.name,
            }
            yield cause("DeadlineExceeded", said, hopeless=not loading, seconds=seconds, **words)


def _of(deployment: Object, pod: Object) -> bool:
    wanted = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    return bool(wanted.items() <= labels(pod).items())


def _loading(container: looking.Container) -> bool:
    """Whether it runs for the first time, or its image is on the way."""
    waiting = container.state("waiting") or {}
    coming = waiting.get("reason") in ("ContainerCreating", "PodInitializing") and bool(looking.node(container.pod))
    return container.restarts == 0 and (bool(container.state("running")) or coming)


def policy_causes(evidence: Evidence, pods: tuple[Object, ...]) -> Iterator[Cause]:
    """NetworkPolicies that select a pod and allow nothing, each once."""
    for policy in known(evidence.policies, ()):
        chosen = next((pod for pod in pods if _selects(policy, pod)), None)
        if chosen is None:
            continue
        spec = policy["spec"]
        words: Words = {"policy": name(policy), **looking.words(evidence, chosen)}
        types = spec.get("policyTypes") or ("Ingress", *(("Egress",) if "egress" in spec else ()))
        for kind, field in (("Ingress", "ingress"), ("Egress", "egress")):
            if kind in types and not spec.get(field):
                said = Seen(f"NetworkPolicy {name(policy)}", f"policyTypes {kind}, no {field} rule")
                yield cause(f"PolicyCloses{kind}", said, **words)


def _selects(policy: Object, pod: Object) -> bool:
    """Whether matchLabels and matchExpressions of the policy's podSelector hold for the pod."""
    selector = policy["spec"].get("podSelector") or {}
    has = labels(pod)
    if any(has.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(item, has) for item in selector.get("matchExpressions") or ())


def _expression(item: Object, has: Object) -> bool:
    key, operator, values = item["key"], item["operator"], item.get("values") or ()
    if operator == "In":
        return bool(has.get(key) in values)
    if operator == "NotIn":
        return bool(has.get(key) not in values)
    return bool((key in has) == (operator == "Exists"))


def unread_causes(evidence: PodEvidence) -> Iterator[Cause]:
    """One finding for all that the user may not read."""
    asked: dict[str, Found | Many] = {
        "pods": evidence.pods,
        "events": evidence.events,
        "storage classes": evidence.classes,
        "nodes": evidence.nodes,
        "resource quotas": evidence.quotas,
    }
    if isinstance(evidence, Evidence):
        asked |= {
            f"InferenceService {evidence.name}": evidence.service,
            "deployments": evidence.deployments,
            "replica sets": evidence.replica_sets,
            "network policies": evidence.policies,
        }
    asked |= {f"PersistentVolumeClaim {key}": of.object for key, of in evidence.claims.items()}
    unread = {what: got for what, got in asked.items() if isinstance(got, Unknown) and got.cause != "not-asked"}
    if unread:
        said = tuple(Seen(what, got.why) for what, got in unread.items())
        yield cause("NotReadable", *said, what=", ".join(unread), namespace=evidence.namespace)
