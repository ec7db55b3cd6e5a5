"""The load of a source that the cluster reads itself: a Job with nobody at the other end.

Owns the step, what its program is asked (docs/sources.md), and the pod that lists the source beforehand. Pure.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from pvserve.facts import Facts, Object, Unknown
from pvserve.plan.claim import recorded_models
from pvserve.plan.connecting import CA_MOUNT, Connection, connection, mount_sources
from pvserve.plan.fetch_job import job_to_be
from pvserve.plan.loader import MOUNT
from pvserve.plan.loading import CLAIM_LABEL, LOADER_LABEL, entangled_part, loader_image, planned_pod
from pvserve.plan.of_here import given, notes_of_here
from pvserve.plan.part import Part, refused
from pvserve.plan.rights import rights_of
from pvserve.plan.shards import SHARDS, shards_part
from pvserve.plan.source import Source
from pvserve.plan.steps import LoadJob
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place
from pvserve.spec.remote import parse_remote


def fetch_part(spec: ModelSpec, facts: Facts, source: Source, path: str) -> Part:
    """The step, or that what the source holds now is there."""
    place = Place(spec.claim.name, path)
    claim = facts.claim.object if isinstance(facts.claim.object, dict) else None
    recorded = recorded_models(claim).get(path, {})
    unlisted = source.at_most and not source.bytes
    if recorded and recorded.get("listing") == source.fingerprint and not (unlisted and spec.loader.replace):
        note = "whether the source has changed since nobody can tell; --replace downloads it again"
        unchanged = f"{place} holds the model: {recorded['manifest']}"
        return Part(unchanged=(unchanged,), notes=(note,) if unlisted else ())
    if (entangled := entangled_part(facts, place)).refusals:
        return entangled
    if recorded and not spec.loader.replace:
        return refused(
            "PathOccupied",
            f"{place} holds other content: {recorded['manifest']}, from {recorded.get('source', 'an unknown source')}",
            "add --replace: what is there is kept, and pods that serve it keep it until they are restarted",
            "or load to another path with --path",
        )
    image, why = _image(spec, facts)
    if not image:
        return refused("NoLoaderImage", f"no image is known for the loader pod: {why}", "name one with --image")
    split = shards_part(spec, facts, source)
    if split.refusals:
        return split
    secret = connection(spec, facts)
    order = _order(spec, facts, place, source, secret)
    step = LoadJob(
        "load",
        f"fetch {source.name} to {place} with a Job",
        source=source.words,
        claim=spec.claim.name,
        path=path,
        job=job_to_be(spec, facts, image, place),
        order=order,
        bytes=source.bytes,
        files=source.files,
        fingerprint=source.fingerprint,
        replace=spec.loader.replace,
        detach=spec.fetch.detach,
        why=why,
        rights=rights_of("fetch", facts.namespace.name),
    )
    note = f"with the connection of service {spec.origin}: {secret}" if secret.inherited else ""
    return Part(steps=(step,), notes=(*source.notes, *([note] if note else []), *notes_of_here(spec, facts)))


def listing_pod(spec: ModelSpec, facts: Facts) -> tuple[Object | None, str]:
    """The pod in which a source is listed before its claim exists, or why there can be none."""
    image, why = _image(spec, facts)
    if not image:
        return None, why
    # Of this place alone: models of one run are listed side by side, and each removes its own pod.
    word = hashlib.sha256(f"{spec.model} {spec.claim.name} {spec.destination}".encode()).hexdigest()[:20]
    pod = planned_pod(spec, facts, image, {LOADER_LABEL: f"list-{word}"})
    pod["metadata"]["generateName"] = "pvserve-list-"
    pod["metadata"]["labels"].pop(CLAIM_LABEL)  # it mounts none
    inner = pod["spec"]
    inner.pop("affinity", None)
    inner["volumes"] = [volume for volume in inner["volumes"] if volume["name"] != "claim"]
    container = inner["containers"][0]
    container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "claim"]
    mount_sources(spec, inner, connection(spec, facts))
    return pod, ""


def _image(spec: ModelSpec, facts: Facts) -> tuple[str, str]:
    """KServe's storage initializer first: unlike a runtime's image it is known to have Python."""
    found = facts.kserve.storage_initializer_image
    if spec.loader.image or isinstance(found, Unknown):
        return loader_image(spec, facts)
    return found, "the Job's image is KServe's storage initializer, which the cluster has and which has Python"


def listing_order(spec: ModelSpec, facts: Facts, *, everything: bool = False) -> dict[str, Any]:
    """What the program is asked in that pod; with `everything` no file is left out for another format."""
    order = _order(spec, facts, Place(spec.claim.name, spec.destination or ""), None, connection(spec, facts))
    return {**order, "everything": True} if everything else order


def _order(spec: ModelSpec, facts: Facts, place: Place, source: Source | None, secret: Connection) -> dict[str, Any]:
    remote, fetch = parse_remote(spec.model or "", spec.fetch.storage_initializer), spec.fetch
    told = {
        "endpoint": fetch.endpoint,
        "region": fetch.region,
        "anonymous": fetch.anonymous,
        "secret": secret.name,
    }
    asked: dict[str, Any] = {"scheme": remote.scheme, "uri": remote.uri, **remote.asked}
    asked |= {key: value for key, value in told.items() if value}
    return {
        "version": 1,
        "source": asked,
        "include": list(spec.include),
        "exclude": list(spec.exclude),
        "allowPickle": fetch.allow_pickle,
        "place": {"mount": MOUNT, "path": place.path, "key": _key_of(place.path)},
        "claim": place.claim,
        "epoch": 0,
        "replace": spec.loader.replace,
        "fingerprint": source.fingerprint if source is not None else "",
        "ca": [CA_MOUNT],
        "proxy": fetch.proxy or "",
        "noProxy": fetch.no_proxy or "",
        **({SHARDS: fetch.shards} if source is not None and fetch.shards > 1 else {}),
        **given(facts),
    }


def _key_of(path: str) -> str:
    """A path as one file name, as `transfer.ask.key_of` has it."""
    quoted = quote(path, safe="")
    return quoted if len(quoted) <= 200 else "sha256-" + hashlib.sha256(path.encode()).hexdigest()
