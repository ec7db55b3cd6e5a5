"""The Kubernetes API as plain objects: read, apply, watch, exec, port-forward.

Owns `Cluster`, through which all other rooms reach Kubernetes. Must not decide anything about what it reads.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from pvserve.cluster import exec as execution
from pvserve.cluster import kserve
from pvserve.cluster import request as asking
from pvserve.cluster.exec import ExecStream, Result, open_exec
from pvserve.cluster.failures import Conflict, FieldConflict, NotFound, Response, as_unknown
from pvserve.cluster.forward import Forward, open_forward
from pvserve.cluster.kinds import KNOWN, Resource, api_path
from pvserve.cluster.line import Line
from pvserve.cluster.login import logging_in
from pvserve.cluster.pod_proxy import open_proxied
from pvserve.cluster.reach import PodReach
from pvserve.cluster.request import PatchType, Request, on
from pvserve.cluster.rest import Json, Listed, Rest
from pvserve.cluster.transport import Transport
from pvserve.cluster.tunnel import Tunnel
from pvserve.cluster.watch import Told, watch
from pvserve.errors import NotAllowed
from pvserve.facts import Object, Right, Unknown


class Cluster:
    """One Kubernetes cluster, as one user. Safe to use from several threads.

    `namespace` is where objects are looked for that name none; `server` is the API server's address.
    Every method raises Temporary when the server cannot be reached, NotAllowed when it refuses the user.
    """

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport = transport
        self.namespace = namespace
        self.server = transport.login.server
        self._rest = Rest(transport)

    @classmethod
    def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        namespace: str | None = None,
        as_user: str | None = None,
        request_timeout: float = 30,
        api_client: Any = None,
    ) -> Cluster:
        """Logs in: with `api_client` (a ready kubernetes.client.ApiClient), else from the file `kubeconfig`,
        $KUBECONFIG, ~/.kube/config, or the account of the pod that this runs in. Sends nothing yet.

        Raises UsageError for a kubeconfig that cannot be used, NotAllowed where nobody is logged in.
        """
        transport = Transport(logging_in(kubeconfig, context, as_user, api_client), request_timeout)
        return cls(transport, namespace or transport.login.namespace)

    def within(self, namespace: str) -> Self:
        """The same cluster and login with another namespace as the one that is meant."""
        other = copy.copy(self)
        other.namespace = namespace
        return other

    def anew(self) -> Cluster:
        """The same cluster, asked anew each time: for what is waited for."""
        return self

    def version(self) -> str:
        """The server's version, as v1.34.4."""
        return str(self._rest.json(Request("GET", "/version", subject="the server's version"))["gitVersion"])

    def serves(self, api_version: str) -> bool | Unknown:
        """Whether the cluster has this API group and version."""
        try:
            self._rest.json(Request("GET", api_path(api_version), subject=api_version, kind=api_version))
        except NotFound:
            return False
        except NotAllowed as error:
            return as_unknown(error)
        return True

    def storage_initializer_image(self) -> str:
        """KServe's own image for fetching models. Raises Refused where it cannot be found out."""
        return kserve.storage_initializer_image(self)

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Json:
        """One object. Raises NotFound."""
        return self._rest.json(self._one("get", api_version, kind, name, namespace))

    def find(self, api_version: str, kind: str, name: str, namespace: str = "") -> Json | Unknown | None:
        """One object, None where it does not exist, Unknown where it may not be read or the kind is not served."""
        return self._perhaps(api_version, kind, name, namespace, metadata_only=False)

    def find_metadata(self, api_version: str, kind: str, name: str, namespace: str = "") -> Json | Unknown | None:
        """As `find`, but the server leaves out all but metadata: for Secrets."""
        return self._perhaps(api_version, kind, name, namespace, metadata_only=True)

    def list(
        self, api_version: str, kind: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        """All objects of a kind in `namespace`, or everywhere when that is empty."""
        request = on(self._rest.resource(api_version, kind), "list", namespace)
        return self._rest.pages(request, label_selector, field_selector, again=True)[0]

    def find_all(
        self, api_version: str, kind: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> tuple[Json, ...] | Unknown:
        """As `list`; Unknown where they may not be read or the kind is not served."""
        try:
            selectors = {"label_selector": label_selector, "field_selector": field_selector}
            return tuple(self.list(api_version, kind, namespace, **selectors))
        except (NotAllowed, NotFound) as error:
            return as_unknown(error)

    def apply(self, obj: Object, *, dry_run: bool = False, force: bool = False) -> Json:
        """Server-side apply with field manager `pvserve`, fields validated strictly; the object as stored.

        With `force` fields that another manager owns are taken over; without it that is an error.
        Raises Refused naming the fields that the cluster does not know, or that another manager owns.
        """
        resource = self._rest.resource(str(obj["apiVersion"]), str(obj["kind"]))
        where = self._where(resource, obj)
        try:
            return self._rest.json(asking.applying(resource, where, obj, dry_run=dry_run, force=force))
        except FieldConflict as error:
            if set(error.owners) != {asking.MANAGER}:
                raise  # what our own patches set, as a rollback does, counts as another manager's to a server
            return self._rest.json(asking.applying(resource, where, obj, dry_run=dry_run, force=True))

    def create(self, obj: Object, *, dry_run: bool = False) -> Json:
        """Creates the object; raises AlreadyExists. The object as stored."""
        resource = self._rest.resource(str(obj["apiVersion"]), str(obj["kind"]))
        return self._rest.json(asking.creating(resource, self._where(resource, obj), obj, dry_run=dry_run))

    def patch(  # noqa: PLR0913 - one value per thing that a patch is given
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str,
        body: Any,
        *,
        type: PatchType = "merge",
        dry_run: bool = False,
        resource_version: str = "",
    ) -> Json:
        """Patches an object of somebody else; with `resource_version` raises Conflict if it was changed since."""
        request = self._one("patch", api_version, kind, name, namespace)
        return self._rest.json(asking.patching(request, body, type, dry_run=dry_run, resource_version=resource_version))

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        """Deletes an object, if it is there; with `uid` only that very one."""
        request = self._one("delete", api_version, kind, name, namespace)
        try:
            self._rest.json(asking.deleting(request, uid=uid, grace_seconds=grace_seconds))
        except NotFound as error:
            if error.reason != "NotFound":
                raise
        except Conflict:
            if not uid:  # with one: the object of this name is another by now, ours is gone
                raise

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        name: str = "",
        label_selector: str = "",
        timeout: float,
    ) -> Iterator[Told]:
        """("ADDED", "MODIFIED" or "DELETED", object) for `timeout` seconds: first all that is there, then changes.

        Goes on over cut connections and restarts of the API server; lists anew every 30 s.
        """
        request = on(self._rest.resource(api_version, kind), "watch", namespace)
        field_selector = f"metadata.name={name}" if name else ""
        return watch(Listed(self._rest, request, label_selector, field_selector), timeout)

    def can(self, right: Right, name: str = "") -> bool | Unknown:
        """Whether we may do this, on all objects or on `name`; asked of the server, nothing is done."""
        resource = KNOWN["authorization.k8s.io/v1", "SelfSubjectAccessReview"]
        try:
            review = self._rest.json(asking.access_review(resource, right, name))
        except (NotAllowed, NotFound) as error:
            return as_unknown(error)
        return bool(review["status"].get("allowed"))

    def logs(self, pod: str, namespace: str, container: str, tail: int = 20, previous: bool = False) -> str:
        """The last `tail` lines of a container, or of the one that ran before it."""
        request = on(KNOWN["v1", "Pod"], "get", namespace, pod, "log")
        query = [("container", container), ("tailLines", str(tail)), ("previous", "true" if previous else "false")]
        return self._rest.answer(replace(request, query=tuple(query))).body.decode("utf-8", "replace")

    def exec(self, pod: str, namespace: str, container: str, argv: Sequence[str]) -> ExecStream:
        """Starts a command in a container, its input open."""
        return open_exec(self._transport, pod, namespace, container, argv)

    def run(
        self, pod: str, namespace: str, container: str, argv: Sequence[str], stdin: bytes = b"", timeout: float = 30
    ) -> Result:
        """Runs a short command to its end. Raises TimedOut after `timeout` seconds."""
        return execution.run(self.exec(pod, namespace, container, argv), stdin, timeout)

    def forward(self, pod: str, namespace: str, port: int) -> Tunnel:
        """A connection to a port of a pod, as a socket."""
        return Tunnel(self.forwarded(pod, namespace, port))

    def forwarded(self, pod: str, namespace: str, port: int) -> Forward:
        """The same without a socket in between, which would cost a copy."""
        return open_forward(self._transport, pod, namespace, port)

    def proxied(self, pod: str, namespace: str, port: int, timeout: float) -> Line:
        """As `forward`, but the API server dials the pod itself; something must agree to an upgrade there."""
        return open_proxied(self._transport, pod, namespace, port, timeout)

    def reach(self, pod: str, namespace: str, container: str) -> PodReach:
        """One container, as the transfer room touches it."""
        return PodReach(self, pod, namespace, container)

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Response:
        """One HTTP request to the API server, sent once; the answer whatever its status."""
        request = Request(method, path, body=body, headers=dict(headers or {}), subject=f"{method} {path}")
        return self._transport.send(request, timeout=timeout, again=False)

    def _where(self, resource: Resource, obj: Object) -> str:
        return str(obj["metadata"].get("namespace") or self.namespace) if resource.namespaced else ""

    def _one(self, verb: str, api_version: str, kind: str, name: str, namespace: str) -> Request:
        resource = self._rest.resource(api_version, kind)
        return on(resource, verb, (namespace or self.namespace) if resource.namespaced else "", name)

    def _perhaps(
        self, api_version: str, kind: str, name: str, namespace: str, *, metadata_only: bool
    ) -> Json | Unknown | None:
        try:
            request = self._one("get", api_version, kind, name, namespace)
            return self._rest.json(asking.metadata_only(request) if metadata_only else request)
        except (NotAllowed, NotFound) as error:
            return None if error.reason == "NotFound" else as_unknown(error)
