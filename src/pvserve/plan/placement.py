"""Where pods may run: the labels and taints of nodes against selectors, node affinity and tolerations.

Owns this comparison, and from where the pods that will serve take theirs. Pure.
Sources: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/ and …/taint-and-toleration/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pvserve.facts import Facts, Object, Unknown, labels, name
from pvserve.plan.edit_service import placement_of
from pvserve.plan.llm_service import is_llm, pod_spec_of

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
# The kubelet's and the node controller's own: not ready, cordoned, under pressure. They come and go.
_PASSING = "node.kubernetes.io/"
_ZONE = "/zone"  # drivers have labels of their own for it, as topology.ebs.csi.aws.com/zone
_KEEPS_OFF = ("NoSchedule", "NoExecute")


@dataclass(frozen=True)
class Placement:
    """What a pod asks of its node; `terms` are those of its required node affinity, any of which suffices."""

    selector: Mapping[str, str]
    tolerations: Sequence[Object] = ()
    terms: Sequence[Object] = ()

    @property
    def words(self) -> str:
        """For people."""
        selected = [f"{key}={value}" for key, value in sorted(self.selector.items())]
        alternatives = " or ".join(" and ".join(_expression(e) for e in _expressions(term)) for term in self.terms)
        return " and ".join([*selected, *([alternatives] if alternatives else [])]) or "anywhere"


def placement(facts: Facts) -> Placement:
    """That of the pods which will serve: the service's own over the runtime's."""
    service, runtime = _known(facts.origin_service), _known(facts.origin_runtime)
    selector, tolerations = placement_of(service, runtime)
    llm = service is not None and is_llm(service)
    predictor: Any = pod_spec_of(service or {}) if llm else ((service or {}).get("spec") or {}).get("predictor") or {}
    affinity = predictor.get("affinity") or ((runtime or {}).get("spec") or {}).get("affinity") or {}
    terms = ((affinity.get("nodeAffinity") or {}).get(REQUIRED) or {}).get("nodeSelectorTerms") or ()
    return Placement(selector, tolerations, tuple(terms))


def admits(node: Object, where: Placement) -> bool:
    """Whether the node has the labels, and no taint that lasts and is not tolerated."""
    taints = [taint for taint in node["spec"].get("taints") or () if taint.get("effect") in _KEEPS_OFF]
    lasting = [taint for taint in taints if not str(taint.get("key", "")).startswith(_PASSING)]
    return (
        where.selector.items() <= labels(node).items()
        and (not where.terms or any(fits(node, term) for term in where.terms))
        and all(any(_tolerates(item, taint) for item in where.tolerations) for taint in lasting)
    )


def fits(node: Object, term: Object) -> bool:
    """Whether a node selector term selects the node."""
    fields = {"metadata.name": name(node)}
    return all(_holds(e, labels(node)) for e in term.get("matchExpressions") or ()) and all(
        _holds(e, fields) for e in term.get("matchFields") or ()
    )


def excluded(where: Placement, volume: Sequence[Object]) -> bool:
    """Whether no node at all can be of `where` and of one of the volume's terms, since a label has one value only."""
    own = [_values(term, where.selector) for term in where.terms or ({},)]
    theirs = [_values(term, {}) for term in volume]
    return bool(theirs) and all(
        any(one[key].isdisjoint(other[key]) for key in one.keys() & other.keys()) for one, other in product(own, theirs)
    )


def values_of(volume: Sequence[Object], key: str) -> tuple[str, ...]:
    """The values that the volume's terms allow for a label, where each names some; else ()."""
    found = [_values(term, {}).get(key) for term in volume]
    return () if None in found else tuple(sorted({value for values in found for value in values or ()}))


def term_words(terms: Sequence[Object]) -> str:
    """For people."""
    return " or ".join(" and ".join(_expression(e) for e in _expressions(term)) for term in terms)


def _values(term: Object, selector: Mapping[str, str]) -> dict[str, set[str]]:
    """What a term and a selector allow for each label; zones are one label, whatever a driver calls it."""
    allowed: dict[str, set[str]] = {}
    for key, values in [
        *((key, {value}) for key, value in selector.items()),
        *((e["key"], set(e.get("values") or ())) for e in _expressions(term) if e.get("operator") == "In"),
    ]:
        same = _ZONE if key.endswith(_ZONE) else key
        allowed[same] = allowed[same] & values if same in allowed else values
    return allowed


def _expressions(term: Object) -> list[Any]:
    return [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]


def _expression(expression: Object) -> str:
    values = list(expression.get("values") or ())
    if expression.get("operator") == "In" and len(values) == 1:
        return f"{expression['key']}={values[0]}"
    return f"{expression['key']} {expression.get('operator')} {','.join(values)}".rstrip()


def _holds(expression: Object, values: Mapping[str, str]) -> bool:
    value, listed = values.get(expression["key"]), list(expression.get("values") or ())
    match expression.get("operator"):
        case "In":
            return value in listed
        case "NotIn":
            return value not in listed
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator if value is not None and value.isdigit() and listed and listed[0].isdigit():
            return int(value) > int(listed[0]) if operator == "Gt" else int(value) < int(listed[0])
    return False


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or bool(toleration.get("key") and toleration.get("value", "") == taint.get("value", ""))


def _known(found: Object | Unknown | None) -> Object | None:
    return None if isinstance(found, Unknown) else found
