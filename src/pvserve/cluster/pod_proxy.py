"""A connection to a port of a pod that the API server itself dials: kubelet and container runtime carry nothing.

Owns the request for it. Must not know what is said over the connection.
Source: kubernetes/pkg/registry/core/pod/strategy.go ResourceLocation (the pod's address, name:port) and
apimachinery/pkg/util/proxy/upgradeaware.go: an Upgrade of any name is handed on; after the far end's 101 bytes are
copied as they are, both ways, until either side ends. What a client sends before it has seen the 101 is lost.

The upgrade is asked for as a WebSocket since that is the one that proxies before an API server let through
(kubernetes/enhancements KEP 4006 moved kubectl to it for this reason). What follows are no WebSocket frames but, as the
subprotocol says, TLS: every frame would cost a copy at both ends and in each a buffer that TLS could read from the
socket directly. A proxy that insists on frames ends the connection at the first byte, and the next channel is tried.
"""

from __future__ import annotations

from dataclasses import replace

from pvserve.cluster.kinds import KNOWN
from pvserve.cluster.line import Line
from pvserve.cluster.request import Request, on
from pvserve.cluster.transport import Transport
from pvserve.cluster.upgrade import upgrade

TLS = "tls.pvserve.io"  # the subprotocol; pvserve.transfer.agent.greeting knows it too


def proxy_request(pod: str, namespace: str, port: int) -> Request:
    """The upgrade request.

    Needs `get` of pods/proxy, and no `create`: that is asked for at exec, attach and portforward alone (Kubernetes'
    feature gate AuthorizePodWebsocketUpgradeCreatePermission).
    """
    request = on(KNOWN["v1", "Pod"], "get", namespace, pod, "proxy")
    return replace(
        request,
        path=on(KNOWN["v1", "Pod"], "get", namespace, f"{pod}:{port}", "proxy").path + "/pvserve",
        subject=f"port {port} of {request.subject}",
    )


def open_proxied(transport: Transport, pod: str, namespace: str, port: int, timeout: float) -> Line:
    """Connects to `port` of the pod, where something must agree to the upgrade within `timeout` seconds.

    Raises what `upgrade` raises: NotAllowed without the right, Temporary where the API server does not reach the pod.
    """
    return upgrade(transport, proxy_request(pod, namespace, port), (TLS,), timeout).bare()
