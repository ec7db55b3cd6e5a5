"""The state of one namespace as far as one plan needs it.

Owns the fact values. Must not know a client, decide anything, or read anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from pvserve.facts.objects import Object
from pvserve.facts.surroundings import Surroundings

T = TypeVar("T")

ConnectionKind = Literal["s3", "uri", "oci", "gone", "none"]


@dataclass(frozen=True)
class Unknown:
    """Could not be read: `why` is one clause for people, `cause` is for decisions."""

    why: str
    cause: Literal["forbidden", "unreachable", "no-such-api", "not-asked"] = "not-asked"


def known(value: T | Unknown, default: T) -> T:
    """`value`, or `default` where it could not be read. Only where not knowing and the default lead to the same."""
    return default if isinstance(value, Unknown) else value


class Right(NamedTuple):
    """One verb on one resource; `namespace` empty means cluster-wide. Asked by SelfSubjectAccessReview."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" in namespace {self.namespace}" if self.namespace else "")


@dataclass(frozen=True)
class NamespaceFacts:
    """The namespace; `object` is None where it does not exist."""

    name: str
    object: Object | Unknown | None


@dataclass(frozen=True)
class Holder:
    """A pod that mounts the claim and has not ended."""

    pod: str
    node: str
    phase: str
    read_only: bool
    controller: str = ""  # "Deployment granite-predictor"-like words, or empty
    made_by_pvserve: bool = False


@dataclass(frozen=True)
class ClaimFacts:
    """The claim that is to hold the model; sizes in bytes."""

    name: str
    object: Object | Unknown | None
    volume: Object | Unknown | None = None  # the bound PersistentVolume
    storage_class: Object | Unknown | None = None  # of the existing claim
    holders: tuple[Holder, ...] | Unknown = ()
    elsewhere: tuple[str, ...] | Unknown = ()  # other namespaces with a claim of this name, where readable
    # Those that it depends on: of the pod that has it, and those that its volume names.
    nodes: tuple[Object, ...] | Unknown = field(default_factory=lambda: Unknown("no node was asked for"))
    free_bytes: int | Unknown = field(default_factory=lambda: Unknown("no pod that mounts the claim was asked"))


@dataclass(frozen=True)
class OwnPlace:
    """Where the model directory lies: on a claim that is mounted into the pod which this runs in."""

    pod: str
    namespace: str
    claim: str
    path: str  # from the claim's root
    image: str = ""  # of the container that mounts it
    tolerations: tuple[Object, ...] = ()  # of that pod, so that another one can run beside it


@dataclass(frozen=True)
class KServeFacts:
    """What is known of KServe on the cluster."""

    installed: bool | Unknown
    storage_initializer_image: str | Unknown = field(default_factory=lambda: Unknown("not read"))
    direct_claim_mount: bool | Unknown = True  # enableDirectPvcVolumeMount, KServe 0.15 and older default false


@dataclass(frozen=True)
class CacheFacts:
    """KServe's LocalModelNamespaceCache: whether it imports onto claims, and those of the namespace."""

    into_claims: bool | Unknown
    caches: tuple[Object, ...] | Unknown = ()


@dataclass(frozen=True)
class Facts:
    """One reading of the cluster. None means absent, `Unknown` means it could not be read."""

    server_version: str | Unknown
    namespace: NamespaceFacts
    kserve: KServeFacts
    claim: ClaimFacts
    source: ClaimFacts | None = None  # the claim that the model is copied from
    own: OwnPlace | Unknown | None = None  # None: the model directory is on no claim of a pod
    storage_classes: tuple[Object, ...] | Unknown = ()
    storage_profiles: tuple[Object, ...] | Unknown = ()  # CDI's, by the name of their class; read for a new claim
    origin_service: Object | Unknown | None = None  # --from: the service to start from
    origin_runtime: Object | Unknown | None = None  # the (Cluster)ServingRuntime it names
    runtime_template: Object | None = None  # the OpenShift Template that origin_runtime was made of
    service: Object | Unknown | None = None  # the service to be made, where it exists already
    runtime: Object | Unknown | None = None  # the runtime to be made, where it exists already
    connection: ConnectionKind | Unknown = "none"  # type of the secret named by opendatahub.io/connections
    knative_claims: bool | Unknown = field(default_factory=lambda: Unknown("no service in Knative mode was read"))
    runtime_pods: tuple[Object, ...] | Unknown = ()  # live pods of origin_service: identity, placement
    rights: Mapping[Right, bool | Unknown] = field(default_factory=dict)
    surroundings: Surroundings = field(default_factory=Surroundings)  # of this machine, for a pod that fetches
    model_caches: CacheFacts | None = None  # None: nobody asked
