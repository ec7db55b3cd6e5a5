"""The pod through which a claim is looked into or cleared: where it runs, and as whom.

Owns these choices. Pure.
"""

from __future__ import annotations

import hashlib

from pvserve.facts import NamespaceFacts, Object, Unknown, Users, known, name
from pvserve.plan.claim import access_modes
from pvserve.plan.edit_runtime import serving_image
from pvserve.plan.lifecycle.users import OWN_PODS, claims_of
from pvserve.plan.loader import loader_identity, loader_pod
from pvserve.plan.part import Part, refused


def image_for(asked: str, initializer: str | Unknown, users: Users) -> str | Part:
    """The image of such a pod: the one asked for, KServe's own, or that of a runtime of the namespace; or the refusal.

    Whoever has rights in one namespace alone may not read which image KServe has.
    """
    runtimes = (serving_image(item) for item in known(users.services, ()) if item.get("kind") == "ServingRuntime")
    found = asked or known(initializer, "") or next(filter(None, runtimes), "")
    if found:
        return found
    why = initializer.why if isinstance(initializer, Unknown) else "the cluster names none"
    message = f"no image is known for a pod that mounts the claim: {why}, and the namespace has no ServingRuntime"
    return refused("NoLoaderImage", message, "name one with Python 3.8 or newer: --image")


def tending_pod(
    claim: Object, namespace: NamespaceFacts, users: Users, image: str, word: str, *, read_only: bool
) -> Object:
    """A pod on the claim, on the node where a claim of one node is mounted, with the identity of a pod that has it.

    `word` names what it is for: two that have the same one are never there at once.
    """
    pods = [pod for pod in known(users.pods, ()) if name(claim) in claims_of(pod)]
    alone = not set(access_modes(claim)) & {"ReadWriteMany", "ReadOnlyMany"}
    nodes = [str(pod["spec"].get("nodeName") or "") for pod in pods if alone]
    found = namespace.object
    return loader_pod(
        name_prefix="pvserve-reader" if read_only else "pvserve-load",
        namespace=namespace.name,
        claim=name(claim),
        image=image,
        read_only=read_only,
        identity=loader_identity(found if isinstance(found, dict) else None, pods[0] if pods else None),
        node_name=next(filter(None, nodes), None),
        node_selector={},
        tolerations=list(pods[0]["spec"].get("tolerations") or ()) if pods and alone else [],
        labels={OWN_PODS[1 if read_only else 0]: hashlib.sha256(word.encode()).hexdigest()[:20]},
    )
