"""A model file from an InferenceService that exists.

Owns `pvserve init`: pure text out of objects. Reads nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pvserve.errors import UsageError
from pvserve.spec.names import LABEL_MAX, MODEL_VOLUME, SERVICE_NAME_MAX, label_from, model_path
from pvserve.spec.place import SCHEME, Place, parse_place

Object = Mapping[str, Any]

_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9_./-]*")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", ".", "..", ".nan", ".inf"])
_KINDS = ("InferenceService", "LLMInferenceService")
_CREDENTIALS = re.compile(r"//[^/@]*@")
_SCHEMA = "# yaml-language-server: $schema=./pvserve.schema.json"
_WIDTH = 31  # where comments begin


class _Line(NamedTuple):
    key: str
    value: str
    comment: str = ""

    def __str__(self) -> str:
        text = f"{self.key}: {_scalar(self.value)}"
        return f"{text:<{_WIDTH}} # {_one_line(self.comment)}" if self.comment else text


class _Storage(NamedTuple):
    """Where a service takes its model from today: in words, the model's name there, and the place on a claim."""

    words: str
    model: str
    place: Place | None = None


def from_service(service: Object, runtime: Object | None = None) -> str:
    """The text of a model file for `service`; `runtime` is the (Cluster)ServingRuntime that serves it, if known.

    Raises:
        UsageError: `NotAService`, when the object is neither an InferenceService nor an LLMInferenceService.
    """
    if service.get("kind") not in _KINDS:
        raise UsageError(
            "NotAService",
            f"a {service.get('kind')} is no {' or '.join(_KINDS)}",
            remedy=("kubectl get inferenceservices,llminferenceservices lists what a model file can be made from",),
        )
    spec = service.get("spec") or {}
    predictor = spec.get("predictor") or {}
    storage = _from_uri(_llm_uri(spec)) if service["kind"] == _KINDS[1] else _storage(predictor)
    lines = _served(service, storage) if storage.place else _to_be_converted(service, storage)
    return "\n".join([*_head(service, runtime, predictor, storage), "", *map(str, lines), ""])


def _head(service: Object, runtime: Object | None, predictor: Object, storage: _Storage) -> list[str]:
    metadata = service["metadata"]
    facts = [f"Model file for pvserve, from {service['kind']} {_namespace(service)}/{_name(service)}."]
    if shown := (metadata.get("annotations") or {}).get("openshift.io/display-name"):
        facts.append(f"The dashboard shows it as {shown}.")
    by = _runtime_words(runtime, predictor)
    facts.append(f"It is served{by} from {storage.words}.")
    if storage.place:
        facts.append(f"Prove it with: pvserve verify {_name(service)} -n {_namespace(service)}")
    else:
        facts.append("Check `model` and `claim`, then: pvserve deploy -f model.yaml")
    counts = ((predictor, "minReplicas"), (predictor, "maxReplicas"), (service["spec"], "replicas"))
    replicas = max(_replicas(holder, key) for holder, key in counts)
    if replicas > 1:
        facts.append(f"Up to {replicas} replicas: on several nodes they need a claim with accessMode ReadWriteMany.")
    facts.append("Editors complete its keys once this was run here: pvserve schema > pvserve.schema.json")
    return [_SCHEMA, *(f"# {_one_line(fact)}" for fact in facts)]


def _to_be_converted(service: Object, storage: _Storage) -> list[_Line]:
    model = _directory(storage.model) or _name(service)
    return [
        _Line("model", f"./{model}", "directory on this machine with the model's files"),
        _Line("name", _new_name(_name(service), _namespace(service)), f"the new service; {_name(service)} stays"),
        _Line("namespace", _namespace(service)),
        _Line("from", _name(service), "all but its storage is taken over from it"),
        _Line("claim", _claim(_name(service)), "made where it does not exist"),
        _Line("path", model, "directory on the claim"),
    ]


def _served(service: Object, storage: _Storage) -> list[_Line]:
    place = storage.place or Place("")
    lines = [
        _Line("name", _name(service)),
        _Line("namespace", _namespace(service)),
        _Line("inPlace", "true", "the service itself is changed, not a copy"),
        _Line("claim", place.claim),
    ]
    if path := _directory(place.path, whole=True):
        return [*lines, _Line("path", path, "directory on the claim")]
    return [*lines, _Line("path", _name(service), "now the claim's root, which pvserve does not write to")]


def _storage(predictor: Object) -> _Storage:
    """What the predictor says of its model's storage: the forms KServe v1beta1 has."""
    model = _framework(predictor)
    source = model.get("storage") or predictor.get("storage")
    uri = model.get("storageUri") or predictor.get("storageUri") or _environment_uri(predictor)
    if uri:
        return _from_uri(str(uri))
    if isinstance(source, dict):
        path = str(source.get("path", ""))
        secret = f" of connection {source['key']}" if source.get("key") else ""
        return _Storage(f"object storage{secret}, path {path or '/'}, copied at each start", path)
    uris = [str(item.get("uri", "")) for item in predictor.get("storageUris") or () if isinstance(item, dict)]
    if mounted := _mounted(predictor, model):
        return _from_uri(mounted)
    if uris:
        places = ", ".join(_from_uri(uri).words for uri in uris)
        words = f"{len(uris)} places ({places}); the first moves, the others stay, so check what `model` is"
        return _Storage(words, uris[0])
    return _Storage("no storage that is named in the service", "")


def _llm_uri(spec: Object) -> str:
    """Of an LLMInferenceService."""
    return str((spec.get("model") or {}).get("uri") or "")


def _mounted(predictor: Object, model: Object) -> str:
    """The place of a model that pvserve put beside others, which is mounted by a volume of the service's own."""
    claims = {
        volume.get("name"): (volume.get("persistentVolumeClaim") or {}).get("claimName")
        for volume in predictor.get("volumes") or ()
    }
    for reader in (model, *(predictor.get("containers") or ())):
        for mount in reader.get("volumeMounts") or ():
            if mount.get("name") == MODEL_VOLUME and claims.get(MODEL_VOLUME):
                return str(Place(str(claims[MODEL_VOLUME]), str(mount.get("subPath") or "")))
    return ""


def _from_uri(uri: str) -> _Storage:
    if not uri:
        return _Storage("no storage that is named in the service", "")
    if not uri.startswith(SCHEME):
        shown = _CREDENTIALS.sub("//", uri.partition("?")[0])  # signed URLs and passwords stay out of the file
        return _Storage(shown if uri.startswith("oci://") else f"{shown}, copied at each start", uri)
    try:
        place = parse_place(uri)
    except UsageError:
        return _Storage(uri, uri)
    return _Storage(f"{place}, a claim already", place.path, place)


def _framework(predictor: Object) -> dict[str, Any]:
    """`model`, or the older form with the framework as key (`sklearn: {storageUri: …}`)."""
    if isinstance(predictor.get("model"), dict):
        return dict(predictor["model"])
    found = (
        value
        for value in predictor.values()
        if isinstance(value, dict) and {"storageUri", "storage", "volumeMounts"} & value.keys()
    )
    return next(found, {})


def _environment_uri(predictor: Object) -> str:
    """A custom predictor names its model in STORAGE_URI."""
    for container in predictor.get("containers") or ():
        for variable in container.get("env") or ():
            if variable.get("name") == "STORAGE_URI":
                return str(variable.get("value", ""))
    return ""


def _runtime_words(runtime: Object | None, predictor: Object) -> str:
    model = _framework(predictor)
    named = model.get("runtime")
    form = (model.get("modelFormat") or {}).get("name")
    words = f" by {runtime['kind']} {_name(runtime)}" if runtime else f" by runtime {named}" if named else ""
    return words + (f" (format {form})" if form else "")


def _replicas(predictor: Object, key: str) -> int:
    value = predictor.get(key)
    return value if isinstance(value, int) else 1


def _directory(source: str, *, whole: bool = False) -> str:
    """The name of the directory, or with `whole` the path, that a source names; empty when it cannot be used."""
    path = source if whole else source.split("://")[-1].split("?")[0].rstrip("/").rpartition("/")[2].partition(":")[0]
    try:
        return model_path(path)
    except ValueError:
        return "" if whole else label_from(path)


def _new_name(old: str, where: str) -> str:
    room = min(SERVICE_NAME_MAX, LABEL_MAX - len(f"-predictor-{where}"))
    return old[: max(1, room - len("-pvc"))].rstrip("-") + "-pvc"


def _claim(old: str) -> str:
    return old[: LABEL_MAX - len("-models")].rstrip("-") + "-models"


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def _namespace(found: Object) -> str:
    return str(found["metadata"].get("namespace", "default"))


def _scalar(text: str) -> str:
    """`text` as YAML reads it back, in 1.1 and in 1.2."""
    if text == "true" or (_PLAIN.fullmatch(text) and text.casefold() not in _WORDS):
        return text
    return json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    """A comment must not end before it ends."""
    return "".join(character if character.isprintable() else " " for character in text)
