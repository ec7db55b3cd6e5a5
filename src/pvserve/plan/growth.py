"""How a claim that has no room for a model gets it.

Owns the words. Pure. Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from __future__ import annotations

from pvserve.facts import Object, Unknown


def ways_to_grow(claim: str, namespace: str, size: str, storage_class: Object | Unknown | None) -> tuple[str, ...]:
    """Lines for the user: the resize where the class allows it, or may; else that it does not.

    `size` is a quantity, `storage_class` the claim's: None where the claim has none or it does not exist any more.
    """
    resize = f"pvserve resize {claim} {size} -n {namespace}"
    if isinstance(storage_class, Unknown):
        return (f"{resize}   # whether its class allows that could not be read",)
    if storage_class is not None and storage_class.get("allowVolumeExpansion"):
        return (resize,)
    return (f"the class of {claim} does not allow expansion: name a new claim of {size} with --claim",)
