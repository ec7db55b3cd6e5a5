"""The only room that talks to Kubernetes: login, requests, watch, exec, port-forward, reading facts.

Owns HTTP, SPDY and WebSocket to the API server. Must not decide, print, or know what a model is.
"""

from pvserve.cluster.client import Cluster
from pvserve.cluster.exec import ExecStream, Result
from pvserve.cluster.failures import AlreadyExists, Conflict, NotFound, Response
from pvserve.cluster.reach import PodReach
from pvserve.cluster.tunnel import Tunnel

__all__ = [
    "AlreadyExists",
    "Cluster",
    "Conflict",
    "ExecStream",
    "NotFound",
    "PodReach",
    "Response",
    "Result",
    "Tunnel",
]
