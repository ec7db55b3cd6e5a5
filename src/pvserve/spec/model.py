"""What the user wants, as one validated value: from a model file, or from flags.

Owns the fields, their checks and the JSON Schema. Does no I/O.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from pvserve.spec import names, quantity
from pvserve.spec.remote import is_remote, parse_remote

DnsLabel = Annotated[str, AfterValidator(names.dns_label)]
ObjectName = Annotated[str, AfterValidator(names.object_name)]
ServiceName = Annotated[str, AfterValidator(names.service_name)]
Origin = Annotated[str, AfterValidator(names.origin)]
ModelPath = Annotated[str, AfterValidator(names.model_path)]
Quantity = Annotated[str, AfterValidator(quantity.claim_size)]
Pattern = Annotated[str, Field(min_length=1)]

Retain = Literal["auto", "class", "volume", "no"]
AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]
Via = Literal["auto", "pod", "proxy", "port-forward", "exec"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ClaimSpec(_Strict):
    """The claim that holds the model; a bare string in the file means `name`."""

    name: DnsLabel = Field(description="PersistentVolumeClaim; made where it does not exist")
    size: Quantity | None = Field(
        default=None, description="Kubernetes quantity; default: the model's bytes and headroom"
    )
    storage_class: ObjectName | None = Field(
        default=None, alias="storageClass", description="StorageClass; default: the cluster's default class"
    )
    access_mode: AccessMode | None = Field(
        default=None, alias="accessMode", description="default: chosen from what the StorageClass can do"
    )
    retain: Retain = Field(
        default="auto",
        description="keep the data when the claim goes: class = a Retain copy of the class, volume = on the volume",
    )

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Editors must accept the shorthand too."""
        schema = handler.resolve_ref_schema(handler(core))
        name = schema["properties"]["name"]
        return {"anyOf": [{"type": "string", "description": name["description"]}, schema]}


class LoaderSpec(_Strict):
    """How bytes get onto the claim."""

    image: Pattern | None = Field(default=None, description="image of the loader pod; default: the runtime's own image")
    via: Via = Field(
        default="auto", description="channel of the copy; auto tries pod, proxy, port-forward, exec in this order"
    )
    claim_copy: bool = Field(
        default=True,
        alias="claimCopy",
        description="in a pod: copy a model directory that lies on the pod's own claim from claim to claim",
    )
    replace: bool = Field(default=False, description="allow other content at a path that holds a model already")


class FetchSpec(_Strict):
    """How the cluster fetches a model that it reads itself (`s3://`, `https://`, `hf://`, `oci://`)."""

    connection: ObjectName | None = Field(
        default=None, description="Secret with the credentials; mounted by reference, never read by pvserve"
    )
    key: Pattern | None = Field(
        default=None, description="entry of it that is a KServe storage-config; default: the Secret's own keys"
    )
    endpoint: Pattern | None = Field(
        default=None, description="address of the S3 server or of a mirror of the Hub; default: the connection's"
    )
    region: Pattern | None = Field(default=None, description="S3 region; default: the connection's, else us-east-1")
    anonymous: bool = Field(default=False, description="ask without credentials")
    allow_pickle: bool = Field(
        default=False, alias="allowPickle", description="take pickles from public sources, which run code on loading"
    )
    ca: ObjectName | None = Field(
        default=None, description="ConfigMap with PEM certificates of CAs; default: odh-trusted-ca-bundle, if there"
    )
    proxy: Pattern | None = Field(default=None, description="http:// address of a forward proxy")
    no_proxy: Pattern | None = Field(default=None, alias="noProxy", description="hosts and networks it is not for")
    shards: int = Field(
        default=1,
        ge=1,
        le=64,
        description="pods that fetch it together, on nodes of their own; ReadWriteMany claims only",
    )
    storage_initializer: bool = Field(
        default=False,
        alias="storageInitializer",
        description="download with KServe's own storage initializer, as `gs://`, `hdfs://` and Azure always are",
    )
    queue: DnsLabel | None = Field(default=None, description="Kueue LocalQueue for the Job")
    detach: bool = Field(default=False, description="end once the Job runs; `pvserve status pvc://…` follows it")

    @model_validator(mode="after")
    def _consistent(self) -> FetchSpec:
        if self.key and not self.connection:
            raise ValueError("`key` is an entry of a Secret: name that as `connection`")
        if self.anonymous and self.connection:
            raise ValueError("`anonymous` and `connection` exclude each other")
        if self.proxy and ("@" in self.proxy or not self.proxy.startswith("http://")):
            raise ValueError("`proxy` must be an http:// address without a password: it can be read by everybody")
        return self


class ModelSpec(_Strict):
    """One model: where it is, on which claim it goes, and which service serves it."""

    model: Pattern | None = Field(
        default=None,
        description="model directory on this machine, in a file relative to the file; `pvc://`, `s3://`, `https://`, "
        "`hf://`, `oci://`, `gs://`, `hdfs://`: read in the cluster",
    )
    name: ServiceName = Field(description="name of the InferenceService to be")
    namespace: DnsLabel | None = Field(default=None, description="default: the namespace of the kubeconfig context")
    origin: Origin | None = Field(
        default=None,
        alias="from",
        description="InferenceService to start from: NAME or NAMESPACE/NAME, or a .yaml or .json file that holds it",
    )
    runtime: ObjectName | None = Field(
        default=None,
        description="ServingRuntime, ClusterServingRuntime or OpenShift Template of one, where there is no `from`",
    )
    format: Pattern | None = Field(
        default=None,
        description="model format, as vLLM or sklearn, where there is no `from`; default: the runtime's, if it has one",
    )
    claim: ClaimSpec = Field(description="claim that holds the model: its name, or a mapping")
    path: ModelPath | None = Field(
        default=None, description="directory on the claim; default: the model directory's name"
    )
    in_place: bool = Field(
        default=False, alias="inPlace", description="change the service `name` itself; `pvserve rollback` goes back"
    )
    include: tuple[Pattern, ...] = Field(default=(), description="load only files that match one of these patterns")
    exclude: tuple[Pattern, ...] = Field(default=(), description="do not load files that match one of these patterns")
    loader: LoaderSpec = Field(default=LoaderSpec(), description="how bytes get onto the claim")
    fetch: FetchSpec = Field(default=FetchSpec(), description="how the cluster fetches what it reads itself")
    timeout: int = Field(default=1800, ge=1, description="seconds to wait for the service to be Ready")

    @model_validator(mode="before")
    @classmethod
    def _name_in_place(cls, value: Any) -> Any:
        """In place, the service to start from is the service to be."""
        if not isinstance(value, dict) or value.get("name") is not None:
            return value
        start = value.get("from", value.get("origin"))
        if value.get("inPlace", value.get("in_place")) in (True, "true") and isinstance(start, str):
            return {**value, "name": start.rpartition("/")[2]}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if self.namespace:
            try:
                names.host_label(self.name, self.namespace)
            except ValueError as error:
                raise ValueError(f"`name` {error}") from None
        if self.origin and self.runtime:
            raise ValueError("`from` and `runtime` exclude each other: the service to start from names its runtime")
        if self.origin and self.format:
            raise ValueError("`from` and `format` exclude each other: the service to start from names its format")
        if self.in_place and self.origin and not self._same_service():
            raise ValueError("`inPlace` changes the service `name` itself: leave out `from`, or name the same service")
        if self.model and is_remote(self.model):
            self._checked_remote(self.model)
        if self.model and not self.path:
            self._checked_default_path()
        return self

    def _checked_remote(self, model: str) -> None:
        try:
            parse_remote(model, self.fetch.storage_initializer)
        except ValueError as error:
            raise ValueError(f"`model` {error}") from None

    def _same_service(self) -> bool:
        """Whether `from` can be the service `name`; the namespace may not be known here."""
        namespace, name = names.split_origin(self.origin or "", self.namespace or "")
        return name == self.name and (not self.namespace or namespace == self.namespace)

    def _checked_default_path(self) -> None:
        try:
            names.model_path(default_path(self.model or ""))
        except ValueError as error:
            raise ValueError(f"`path` is needed, since the model directory's name {error}") from None

    @property
    def destination(self) -> str | None:
        """The directory on the claim: `path`, or the model directory's name; None where neither is given."""
        return self.path or (default_path(self.model) if self.model else None)


def default_path(directory: str) -> str:
    """The name that a model directory gives its copy: its own, or the model's in a Hugging Face cache."""
    if is_remote(directory):
        return parse_remote(directory).name
    parts = os.path.normpath(directory).split(os.sep)
    repositories = [part for part in parts[-3:] if part.startswith("models--")]
    if repositories and (parts[-1] == repositories[0] or parts[-2] == "snapshots"):
        return repositories[0].rsplit("--", 1)[-1]
    return parts[-1]


# A name, not an address: the schema of an installed pvserve is had by `pvserve schema`, also without a network.
SCHEMA_ID = "urn:pvserve:model-file:1"


def schema() -> dict[str, Any]:
    """The JSON Schema of a model file, as editors use it."""
    found = _without_titles(ModelSpec.model_json_schema(by_alias=True))
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": SCHEMA_ID, "title": "pvserve model file", **found}


def _without_titles(node: Any) -> Any:
    """pydantic titles every field by its own name, which says nothing; no field of ours is called title."""
    if isinstance(node, dict):
        return {key: _without_titles(value) for key, value in node.items() if key != "title"}
    return [_without_titles(item) for item in node] if isinstance(node, list) else node
