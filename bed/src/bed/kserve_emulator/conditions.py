"""Status conditions as Knative's library keeps them, which KServe uses. Pure.

Ready depends on PredictorReady and IngressReady only; every other condition is information.
"""

from __future__ import annotations

from .names import Object

READY = "Ready"
DEPENDENTS = ("PredictorReady", "IngressReady")


class Conditions:
    """The conditions of one status; `now` (RFC 3339) becomes the time of each one that changes."""

    def __init__(self, status: Object, now: str) -> None:
        self._status = status
        self._now = now

    def get(self, kind: str) -> Object | None:
        """The condition of this type."""
        return next((item for item in self._status.get("conditions") or () if item["type"] == kind), None)

    def is_true(self, kind: str) -> bool:
        """Whether the condition is there and True."""
        found = self.get(kind)
        return found is not None and found["status"] == "True"

    def initialize(self) -> None:
        """Everything unknown, where nothing is known yet."""
        if self.get(READY) is None:
            for kind in (READY, *DEPENDENTS):
                self._set(kind, "Unknown")

    def mark(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        """Sets a condition ("True", "False" or "Unknown") and Ready after it."""
        self._set(kind, status, reason, message)
        if status == "True":
            self._recompute(kind)
        elif status == "False":
            if kind in DEPENDENTS:
                self._set(READY, "False", reason, message)
        else:
            self._unknown(kind, reason, message)

    def _unknown(self, kind: str, reason: str, message: str) -> None:
        for dependent in DEPENDENTS:
            found = self.get(dependent)
            if found is not None and found["status"] == "False":  # a failure outweighs what is unknown
                ready = self.get(READY)
                if ready is None or ready["status"] != "False":
                    self._set(READY, "False", reason, message)
                return
        if kind in DEPENDENTS:
            self._set(READY, "Unknown", reason, message)

    def _recompute(self, kind: str) -> None:
        present = [item for item in self._status["conditions"] if item["type"] in DEPENDENTS]
        present.sort(key=lambda item: item["lastTransitionTime"], reverse=True)
        for status in ("False", "Unknown"):
            unhappy = next((item for item in present if item["status"] == status), None)
            if unhappy is not None:
                self._set(READY, status, unhappy.get("reason", ""), unhappy.get("message", ""))
                return
        if len(present) < len(DEPENDENTS):
            self._set(READY, "Unknown")
        elif kind != READY:
            self._set(READY, "True")

    def _set(self, kind: str, status: str, reason: str = "", message: str = "") -> None:
        fresh: Object = {"type": kind, "status": status, "reason": reason, "message": message}
        if kind not in (READY, *DEPENDENTS):
            fresh["severity"] = "Info"
        fresh = {key: value for key, value in fresh.items() if value}
        others = []
        for item in self._status.get("conditions") or ():
            if item["type"] != kind:
                others.append(item)
            elif {key: value for key, value in item.items() if key != "lastTransitionTime"} == fresh:
                return
        fresh["lastTransitionTime"] = self._now
        self._status["conditions"] = sorted([*others, fresh], key=lambda item: item["type"])
