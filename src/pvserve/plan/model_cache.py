"""KServe's own import of a model onto a claim: a LocalModelNamespaceCache with `spec.pvcRef`.

Owns its object, the directory that KServe imports to, and what such an import cannot do. Pure.
Source: kserve 9dc0cc4 (2026-09), pkg/apis/serving/v1alpha1/local_model_namespace_cache_types.go and
pkg/controller/v1alpha1/localmodel/reconcilers/sharedpvc.go; docs/samples/localmodelcache/shared-pvc.md
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from pvserve.facts import Facts, Object, Unknown, name, namespace
from pvserve.plan.claim import recorded_models
from pvserve.plan.connecting import STORAGE_CONFIG, Connection, connection
from pvserve.plan.diff import changes
from pvserve.plan.edit_service import MANAGED_BY, storage_of
from pvserve.plan.part import Part, refused, unreadable
from pvserve.plan.source import Source
from pvserve.plan.steps import ApplyObject
from pvserve.plan.volume import modes_to_be
from pvserve.spec.model import FetchSpec, ModelSpec
from pvserve.spec.place import Place
from pvserve.spec.quantity import parse_quantity, round_up
from pvserve.spec.remote import is_remote

API, KIND = "serving.kserve.io/v1alpha1", "LocalModelNamespaceCache"
FIELD = "pvcRef"
CACHE = "kserve-cache"  # among the goals of a plan
MANY = "ReadWriteMany"
# What the kind has no field for: KServe's import takes all files, in its own way. Flag -> field of `fetch`.
UNTOLD = {
    "--endpoint": "endpoint",
    "--region": "region",
    "--anonymous": "anonymous",
    "--ca": "ca",
    "--proxy": "proxy",
    "--no-proxy": "no_proxy",
    "--queue": "queue",
}


class Import(NamedTuple):
    """What one cache says: where it puts which source, whether it is there, and who uses it (namespace, name)."""

    name: str
    namespace: str
    claim: str
    path: str
    source: str
    ready: bool
    reason: str
    since: str
    services: tuple[tuple[str, str], ...]

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and claim."""
        return self.namespace, self.claim

    def __str__(self) -> str:
        return f"{KIND} {self.name}" + (f" ({self.reason})" if self.reason else "")


def storage_key(uri: str) -> str:
    """The name of the directory below `models/`, of the address exactly as it is written (GetStorageKey)."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def import_path(uri: str) -> str:
    """The directory on the claim that KServe imports this address to."""
    return f"models/{storage_key(uri)}"


def kserve_uri(model: str) -> str:
    """An address in KServe's form, which divides a revision of the Hub by a colon (kserve_storage, _download_hf)."""
    return model.replace("@", ":", 1) if model.startswith("hf://") else model


def pvserve_uri(uri: str) -> str:
    """The way back."""
    return "hf://" + uri.removeprefix("hf://").replace(":", "@", 1) if uri.startswith("hf://") else uri


def import_of(cache: Object) -> Import | None:
    """The import of a cache, None where it copies to nodes instead."""
    spec: Any = cache.get("spec") or {}
    claim, source = spec.get(FIELD), str(spec.get("sourceModelUri") or "")
    if cache.get("kind") != KIND or not claim:
        return None
    status: Any = cache.get("status") or {}
    told: Any = next((item for item in status.get("conditions") or () if item.get("type") == "Ready"), {})
    using = [*(status.get("inferenceServices") or ()), *(status.get("llmInferenceServices") or ())]
    where = namespace(cache)
    users = tuple(sorted({(str(item.get("namespace") or where), str(item.get("name"))) for item in using}))
    ready = told.get("status") == "True"
    since = str(told.get("lastTransitionTime") or "")
    return Import(
        name(cache), where, str(claim), import_path(source), source, ready, str(told.get("reason") or ""), since, users
    )


def cache_path(spec: ModelSpec) -> str:
    """Where the model of a spec will lie; the path that was asked for where KServe could not import it."""
    return import_path(kserve_uri(spec.model)) if spec.model and is_remote(spec.model) else spec.destination or ""


def cache_part(spec: ModelSpec, facts: Facts, source: Source, path: str) -> Part:
    """The cache that has KServe import the model, or why there can be none."""
    for bad in _refusals(spec, facts, source, path):
        return bad
    secret = connection(spec, facts)
    credentials = _credentials(facts, secret)
    if isinstance(credentials, Part):
        return credentials
    size = source.bytes or parse_quantity(spec.claim.size or "0")
    made: dict[str, Any] = {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {"name": spec.name, "namespace": facts.namespace.name, "labels": {MANAGED_BY: "pvserve"}},
        "spec": {
            "sourceModelUri": kserve_uri(spec.model or ""),
            "modelSize": round_up(size),
            FIELD: spec.claim.name,
            **credentials,
        },
    }
    caches = facts.model_caches.caches if facts.model_caches is not None else ()
    live = next((item for item in (() if isinstance(caches, Unknown) else caches) if name(item) == spec.name), None)
    title = f"have KServe import {source.name} to {Place(spec.claim.name, path)}"
    step = ApplyObject("cache", title, made, before=live, changes=changes({}, made))
    return Part(steps=(step,), notes=(*source.notes, *_notes(facts)))


def _refusals(spec: ModelSpec, facts: Facts, source: Source, path: str) -> Iterator[Part]:
    yield from _not_served(facts)
    if not source.remote:
        yield _cannot(f"{source.words} is not where KServe could import it from: it takes what has an address")
        return
    uri, place = spec.model or "", Place(spec.claim.name, path)
    if "?" in uri:
        message = f"the address {uri.partition('?')[0]} has a query, which may hold a signature"
        yield refused("SecretInObject", message, "name the file without one")
    if spec.path and spec.path != path:
        yield _cannot(f"KServe imports {uri} to {place} and nowhere else, and --path says {spec.path}")
    if (uri.startswith("hf://") and "/" not in uri.removeprefix("hf://")) or uri.startswith("s3:///"):
        yield _cannot(f"KServe takes hf://ORG/MODEL and s3://BUCKET/PREFIX, written out, and not {uri}")
    if untold := _untold(spec):
        yield _cannot(f"{KIND} has no field for {', '.join(untold)}: KServe's import takes all files, in its own way")
    if path in recorded_models(facts.claim.object if isinstance(facts.claim.object, dict) else None):
        message = f"{place} holds what pvserve loaded, and KServe's import would write over it"
        yield refused("PathOccupied", message, f"serve it from there: --no-load --path {path} with --to yaml")
    yield from _unfit_claim(spec, facts, source)
    yield from _taken(spec, facts, path)


def _not_served(facts: Facts) -> Iterator[Part]:
    found = facts.model_caches
    if found is None or isinstance(found.into_claims, Unknown):
        why = found.into_claims if found is not None else Unknown("nobody asked")
        assert isinstance(why, Unknown)
        yield unreadable(f"whether this cluster's {KIND} has spec.{FIELD}", why)
    elif not found.into_claims:
        message = f"this cluster has no {KIND} with spec.{FIELD}: its KServe cannot import onto a claim"
        yield refused("NoModelCache", message, "have pvserve's own Job fetch it: --to job, argocd, tekton, …")


def _untold(spec: ModelSpec) -> list[str]:
    default = FetchSpec()
    given = [flag for flag, key in UNTOLD.items() if getattr(spec.fetch, key) != getattr(default, key)]
    given += ["--shards"] if spec.fetch.shards > 1 else []
    return [*given, *(["--include"] if spec.include else []), *(["--exclude"] if spec.exclude else [])]


def _unfit_claim(spec: ModelSpec, facts: Facts, source: Source) -> Iterator[Part]:
    """As KServe's reconciler looks at a claim before it imports (checkPVCPreflight)."""
    modes = modes_to_be(spec, facts)
    if MANY not in modes:
        yield refused(
            "CacheNeedsSharedClaim",
            f"claim {spec.claim.name} is {', '.join(modes) or 'of no known access mode'}, and KServe imports only onto "
            "claims that are ReadWriteMany",
            "name one that is, as --access-mode ReadWriteMany --storage-class CLASS make one",
            "or have pvserve's own Job fetch it: --to job, argocd, tekton, …",
        )
    size, live = source.bytes or parse_quantity(spec.claim.size or "0"), facts.claim.object
    if not size:
        yield refused("SizeUnknown", f"nobody can tell how large {source.words} is", "say its size: --size")
    if isinstance(live, dict):
        asked = str(live["spec"]["resources"]["requests"]["storage"])
        if parse_quantity(asked) < parse_quantity(round_up(max(size, 1))):
            message = f"claim {spec.claim.name} asks for {asked}, and the model has {size} bytes: KServe refuses that"
            where = facts.namespace.name
            yield refused("ClaimTooSmall", message, f"pvserve resize {spec.claim.name} {round_up(size)} -n {where}")


def _taken(spec: ModelSpec, facts: Facts, path: str) -> Iterator[Part]:
    """KServe has one cache for each directory of a claim, and never lets one be led elsewhere."""
    found = facts.model_caches.caches if facts.model_caches is not None else ()
    for cache in () if isinstance(found, Unknown) else found:
        there, here = import_of(cache), name(cache) == spec.name
        same = there is not None and (there.claim, there.path) == (spec.claim.name, path)
        if here != same:
            what = f"imports to {Place(there.claim, there.path)}" if there is not None else "copies to nodes"
            message = f"{KIND} {name(cache)} {what}: KServe has one cache for each directory, and keeps it there"
            yield refused("CacheTaken", message, f"kubectl -n {namespace(cache)} get {KIND.lower()} {name(cache)}")


def _credentials(facts: Facts, secret: Connection) -> dict[str, Any] | Part:
    """How KServe finds the credentials: an entry of its storage-config, or a service account that has them."""
    if not secret.name:
        return {}
    if secret.key and secret.name == STORAGE_CONFIG:
        return {"storage": {"key": secret.key}}
    origin = facts.origin_service if secret.inherited and isinstance(facts.origin_service, dict) else None
    if origin is not None and (key := storage_of(origin).key):
        return {"storage": {"key": key}}
    account = (origin["spec"].get("predictor") or {}).get("serviceAccountName") if origin is not None else None
    if account:
        return {"serviceAccountName": str(account)}
    return refused(
        "CacheCredentials",
        f"{KIND} cannot be given {secret}: KServe takes an entry of Secret {STORAGE_CONFIG}, or a service account",
        f"put them into an entry of Secret {STORAGE_CONFIG}, and name it: --connection {STORAGE_CONFIG} "
        "--connection-key KEY",
        "or have pvserve's own Job fetch it: --to job, argocd, tekton, …",
    )


def _notes(facts: Facts) -> Iterator[str]:
    yield "KServe's import compares no digest with what the source publishes: pvserve verify says what came"
    if facts.model_caches is not None and isinstance(facts.model_caches.caches, Unknown):
        yield f"other caches were not looked at: {facts.model_caches.caches.why}"


def _cannot(message: str) -> Part:
    return refused("CacheCannotImport", message, "have pvserve's own Job fetch it: --to job, argocd, tekton, …")
