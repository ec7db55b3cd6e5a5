"""What the user wants, as one validated value: from a model file, or from flags.

Owns the fields, their checks and the JSON Schema. Does no I/O.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pvserve.spec.names import DnsLabel, ModelPath, Quantity

Retain = Literal["auto", "class", "volume", "no"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, alias_generator=None)


class ClaimSpec(_Strict):
    """The claim that holds the model; a bare string in the file means `name`."""

    name: DnsLabel
    size: Quantity | None = Field(None, description="Kubernetes quantity; default: the model's bytes and headroom")
    storage_class: Annotated[str | None, Field(alias="storageClass")] = None
    access_mode: Annotated[
        Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"] | None, Field(alias="accessMode")
    ] = None
    retain: Retain = Field("auto", description="class: a Retain copy of the class; volume: patch the bound volume")


class LoaderSpec(_Strict):
    """How bytes get onto the claim."""

    image: str | None = None
    via: Literal["auto", "pod", "port-forward", "exec"] = "auto"
    replace: bool = Field(False, description="allow other content at a path that holds a model already")


class ModelSpec(_Strict):
    """One model: where it is, on which claim it goes, and which service serves it."""

    model: str | None = Field(None, description="model directory on this machine")
    name: DnsLabel = Field(description="name of the InferenceService to be")
    namespace: DnsLabel | None = None
    origin: Annotated[
        str | None, Field(alias="from", description="InferenceService to start from: NAME or NAMESPACE/NAME")
    ] = None
    runtime: str | None = Field(None, description="ServingRuntime or ClusterServingRuntime, where there is no `from`")
    format: str | None = Field(None, description="model format, where there is no `from`")
    claim: ClaimSpec
    path: ModelPath | None = Field(None, description="directory on the claim; default: the model directory's name")
    in_place: Annotated[bool, Field(alias="inPlace")] = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    loader: LoaderSpec = LoaderSpec()
    timeout: int = Field(1800, ge=1, description="seconds to wait for the service to be Ready")
