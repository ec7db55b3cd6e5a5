"""Bytes onto a volume and back: the engine, its ways into a pod, and the agent inside it.

Owns moving, digesting, resuming and publishing. Must not print, decide where a model goes, or know Kubernetes.
"""

from pvserve.transfer.causes import later_epoch, size_wanted
from pvserve.transfer.engine import NOT_COPIED, Terms, copy, load
from pvserve.transfer.looking import inspect
from pvserve.transfer.removing import Removed, remove
from pvserve.transfer.sweeping import contents, sweep
from pvserve.transfer.values import ExecStream, Level, Loaded, Reach, Result, Target, Via, VolumeReport

__all__ = [
    "NOT_COPIED",
    "ExecStream",
    "Level",
    "Loaded",
    "Reach",
    "Removed",
    "Result",
    "Target",
    "Terms",
    "Via",
    "VolumeReport",
    "contents",
    "copy",
    "inspect",
    "later_epoch",
    "load",
    "remove",
    "size_wanted",
    "sweep",
]
