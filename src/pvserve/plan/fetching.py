"""The load of a source that the cluster reads itself: a Job with nobody at the other end.

Owns the step, the Job, what its program is asked (docs/sources.md), and the pod that lists the source beforehand. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple
from urllib.parse import quote

from pvserve.facts import Facts, Object, Unknown, annotations_of
from pvserve.plan.claim import recorded_models
from pvserve.plan.edit_service import CONNECTION, MANAGED_BY, storage_of
from pvserve.plan.load_step import PLACE, PROGRAM_MOUNT, PROGRAM_START, plain_word, program_mount, program_volume
from pvserve.plan.loader import CONTAINER, MOUNT, without_node
from pvserve.plan.loading import CLAIM_LABEL, LOADER_LABEL, loader_image, planned_pod
from pvserve.plan.of_here import given, notes_of_here, without_given
from pvserve.plan.part import Part, refused
from pvserve.plan.rights import rights_of
from pvserve.plan.shards import shards_part, shared_out
from pvserve.plan.source import Source
from pvserve.plan.steps import LoadJob
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place
from pvserve.spec.remote import INITIALIZER, parse_remote

SECRET_MOUNT, CA_MOUNT = "/pvserve-secret", "/pvserve-ca"  # where the program looks
STORAGE_CONFIG = "storage-config"  # KServe's default name (config/configmap/inferenceservice.yaml, credentials)
STORAGE_ENTRY = "storage.json"  # the name under which it looks for an entry of KServe's storage-config
TRUSTED_CA = "odh-trusted-ca-bundle"  # Open Data Hub puts it into every namespace (ux.md 2.1)
SHARDS = "shards"
QUEUE = "kueue.x-k8s.io/queue-name"
MEMORY = "256Mi"
INITIALIZER_MEMORY = "2Gi"  # of KServe's libraries, beside ours; its own default is 1Gi
RETRIES = 6
KEPT_SECONDS = 24 * 3600  # a finished Job that nobody came back for
# After these exit codes the same pod would end the same way; 5 and signals are tried again (docs/exit-codes.md).
FINAL_CODES = (1, 2, 3, 4, 6, 8)


class Connection(NamedTuple):
    """A Secret with credentials, and its entry where it is a storage-config; `inherited` from the service."""

    name: str = ""
    key: str = ""
    inherited: bool = False

    def __str__(self) -> str:
        return f"Secret {self.name}" + (f", entry {self.key}" if self.key else "")


def connection(spec: ModelSpec, facts: Facts) -> Connection:
    """The one that was named; else, for S3, that of the service to start from, where it lies in this namespace.

    Source: kserve/pkg/credentials/service_account_credentials.go (`storage.key` is an entry of storage-config), and
    opendatahub-operator's annotation for connections.
    """
    if spec.fetch.connection or spec.fetch.anonymous or not (spec.model or "").startswith("s3://"):
        return Connection(spec.fetch.connection or "", spec.fetch.key or "")
    origin = facts.origin_service
    if (
        not isinstance(origin, dict)
        or origin["metadata"].get("namespace", facts.namespace.name) != facts.namespace.name
    ):
        return Connection()
    if secret := annotations_of(origin).get(CONNECTION):
        return Connection(secret, inherited=True)
    key = storage_of(origin).key
    return Connection(STORAGE_CONFIG, key, inherited=True) if key else Connection()


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
        job=_job(spec, facts, image, place),
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
    _mount_sources(spec, inner, connection(spec, facts))
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


def fetch_job(step: LoadJob, epoch: int) -> dict[str, Any]:
    """The Job as it is made; its name tells place and writer. Its program is a ConfigMap of the same name."""
    job = deepcopy(dict(step.job))
    name = job_name(step.claim, step.path, epoch)
    job["metadata"]["name"] = name
    pod = job["spec"]["template"]["spec"]
    pod["containers"][0]["args"] = ["load", json.dumps({**step.order, "epoch": epoch}, separators=(",", ":"))]
    pod["volumes"] = [*pod["volumes"], program_volume(name)]
    return job


def fetch_pod(step: LoadJob, program: str, results: Sequence[str] = ()) -> dict[str, Any]:
    """Labels and spec of the same pod as others run it, for whom nobody holds a Lease; `results` are more arguments."""
    template = step.job["spec"]["template"]
    spec = deepcopy(dict(template["spec"]))
    without_node(spec)
    asked = {key: value for key, value in without_given(step.order).items() if key != SHARDS}  # without a Lease, alone
    order = json.dumps({**asked, "epoch": 0}, separators=(",", ":"), sort_keys=True)
    spec["containers"][0]["args"] = ["load", plain_word(order), *results]
    spec["volumes"] = [*spec["volumes"], program_volume(program)]
    return {"labels": dict(template["metadata"]["labels"]), "spec": spec}


def job_name(claim: str, path: str, epoch: int) -> str:
    """Of the Job of one writer of a place."""
    return f"pvserve-load-{place_label(claim, path)[:12]}-{epoch}"


def place_label(claim: str, path: str) -> str:
    """What the pods and Jobs of one place bear as LOADER_LABEL."""
    return hashlib.sha256(str(Place(claim, path)).encode()).hexdigest()[:20]


def job_program(job: Object, files: dict[str, str]) -> dict[str, Any]:
    """The ConfigMap with the program of a Job that was made: it goes with that Job, whoever removes it.

    The Job is made first, and its pod waits for the ConfigMap: the other way round a client that is killed between
    the two leaves an object that nobody owns.
    """
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {MANAGED_BY: "pvserve"},
            "ownerReferences": [owner],
        },
        "data": files,
    }


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


def _job(spec: ModelSpec, facts: Facts, image: str, place: Place) -> dict[str, Any]:
    """The Job but for its name, its program and the writer's epoch.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
    """
    labels = {LOADER_LABEL: place_label(place.claim, place.path)}
    pod = planned_pod(spec, facts, image, labels)
    inner = pod["spec"]
    container = inner["containers"][0]
    container["command"] = ["python3", "-X", "utf8", "-I", "-S", f"{PROGRAM_MOUNT}/{PROGRAM_START}"]
    remote = parse_remote(spec.model or "", spec.fetch.storage_initializer)
    most = INITIALIZER_MEMORY if remote.scheme == INITIALIZER else MEMORY
    container["resources"] = {"requests": {"cpu": "200m", "memory": MEMORY}, "limits": {"memory": most}}
    container["volumeMounts"] = [*container["volumeMounts"], program_mount()]
    _mount_sources(spec, inner, connection(spec, facts))
    annotations = {PLACE: str(place)}
    codes = {"containerName": CONTAINER, "operator": "In", "values": list(FINAL_CODES)}
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": codes},
    ]
    queue = {QUEUE: spec.fetch.queue} if spec.fetch.queue else {}
    job: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "",
            "namespace": facts.namespace.name,
            "labels": {MANAGED_BY: "pvserve", **labels, **queue},
            "annotations": annotations,
        },
        "spec": {
            "backoffLimit": RETRIES,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podFailurePolicy": {"rules": rules},
            "template": {
                "metadata": {"labels": pod["metadata"]["labels"], "annotations": annotations},
                "spec": inner,
            },
        },
    }
    shared_out(job, spec.fetch.shards)
    return job


def _mount_sources(spec: ModelSpec, pod: dict[str, Any], connected: Connection) -> None:
    """Secret and CAs, by reference, as files."""
    fetch = spec.fetch
    ca: dict[str, Any] = {"name": fetch.ca or TRUSTED_CA}
    if not fetch.ca:
        ca["optional"] = True
    volumes = [{"name": "ca", "configMap": ca}]
    mounts = [{"name": "ca", "mountPath": CA_MOUNT, "readOnly": True}]
    if connected.name:
        secret: dict[str, Any] = {"secretName": connected.name}
        if connected.key:
            secret["items"] = [{"key": connected.key, "path": STORAGE_ENTRY}]
        volumes.append({"name": "connection", "secret": secret})
        mounts.append({"name": "connection", "mountPath": SECRET_MOUNT, "readOnly": True})
    container = pod["containers"][0]
    container["volumeMounts"] = [*container["volumeMounts"], *mounts]
    pod["volumes"] = [*pod["volumes"], *volumes]
