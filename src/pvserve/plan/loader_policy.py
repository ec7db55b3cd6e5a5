"""The NetworkPolicy of a loader pod: nobody but the sender reaches it, and it reaches nobody.

Owns the object and whom it admits. Pure: who the sender is, the caller finds out. The reasons for what is admitted are
in docs/transfer-protocol.md, section Network.
"""

from __future__ import annotations

from typing import Any

from pvserve.facts import Object, labels, name, namespace

OWN = "pvserve.io/"  # labels of ours, by which a loader pod is found again
NAMESPACE_NAME = "kubernetes.io/metadata.name"  # on every namespace since Kubernetes 1.22


def loader_policy(pod: Object, sender: Object | None, *, by_address: bool) -> dict[str, Any]:
    """The policy of the live `pod`, which goes with it.

    `by_address` says that bytes may come to the pod's own address: then the pod `sender` is admitted, or, where the
    sender is no pod that a policy can name, whoever comes. Without it nobody is: exec and port-forward enter by the
    container runtime, in the pod's own network namespace, where no policy applies.
    """
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": {key: value for key, value in labels(pod).items() if key.startswith(OWN)}},
        "policyTypes": ["Egress"],
        "egress": [],
    }
    if not by_address:
        spec |= {"policyTypes": ["Ingress", "Egress"], "ingress": []}
    elif sender is not None and _can_be_named(sender):
        peer = {
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace(sender)}},
            "podSelector": {"matchLabels": dict(labels(sender))},
        }
        spec |= {"policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [peer], "ports": [{"protocol": "TCP"}]}]}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": name(pod), "uid": pod["metadata"]["uid"]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "generateName": f"{name(pod)}-",
            "namespace": namespace(pod),
            "labels": {"app.kubernetes.io/managed-by": "pvserve"},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def _can_be_named(pod: Object) -> bool:
    """A pod in its node's network comes from the node's address, which no pod selector means; nor has every pod labels,
    and a selector without any would admit the whole namespace."""
    return not pod["spec"].get("hostNetwork") and bool(labels(pod))
