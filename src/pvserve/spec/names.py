"""Which names and places a model, its claim and its service may have.

Owns the rules, each with its source; knows neither pydantic nor files. Every function returns the value it was given,
or raises ValueError with one clause that says what is wrong and what would do.
"""

from __future__ import annotations

import re

LABEL_MAX = 63  # RFC 1123 label, also the limit of a Kubernetes label value
SUBDOMAIN_MAX = 253

# KServe labels a service's Deployment `app: isvc.NAME-predictor`, and a label value has 63 characters.
SERVICE_NAME_MAX = LABEL_MAX - len("isvc.") - len("-predictor")

# The workers of a multi-node service bear `isvc.NAME-predictor-worker`.
WORKER_SERVICE_NAME_MAX = SERVICE_NAME_MAX - len("-worker")

MODEL_VOLUME = "pvserve-model"  # of a service whose pods mount the model by a volume of their own (plan.listed)
FILE_SUFFIXES = (".yaml", ".yml", ".json")  # of a service to start from that lies in a file
PATH_MAX = 1000  # bytes of a directory on a claim: leaves room for the model's own paths below 4096
OURS = ".pvserve"  # pvserve's own directory at a claim's root

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_UNFIT = re.compile(r"[^a-z0-9]+")


def dns_label(name: str) -> str:
    """A DNS label (RFC 1123): namespaces, and claims, whose dots the Open Data Hub dashboard does not take."""
    if not name:
        raise ValueError("must not be empty")
    if len(name) > LABEL_MAX:
        raise ValueError(f"has {len(name)} characters, at most {LABEL_MAX} are allowed")
    if not _LABEL.fullmatch(name):
        raise ValueError(f"must be lower-case letters, digits and '-', not at an end{_suggestion(name)}")
    return name


def object_name(name: str) -> str:
    """A DNS subdomain (RFC 1123): StorageClasses and runtimes, whose names may have dots."""
    if not name:
        raise ValueError("must not be empty")
    if len(name) > SUBDOMAIN_MAX:
        raise ValueError(f"has {len(name)} characters, at most {SUBDOMAIN_MAX} are allowed")
    if not _SUBDOMAIN.fullmatch(name):
        raise ValueError(f"must be lower-case letters, digits, '-' and '.'{_suggestion(name)}")
    return name


def service_name(name: str) -> str:
    """An InferenceService that KServe can reconcile: begins with a letter (its webhook), and leaves room for the
    label of its Deployment (`SERVICE_NAME_MAX`). Its host name is checked by `host_label`, with the namespace."""
    if len(name) > SERVICE_NAME_MAX:
        raise ValueError(
            f"has {len(name)} characters, at most {SERVICE_NAME_MAX} are possible: KServe labels its Deployment "
            f"isvc.NAME-predictor, in {LABEL_MAX} characters"
        )
    if not name[:1].isalpha() or not _LABEL.fullmatch(name):
        near = label_from(name)
        near = near if near[:1].isalpha() else f"m-{near}".rstrip("-")
        raise ValueError(f"must be lower-case letters, digits and '-', a letter first: {near} would do")
    return name


def host_label(service: str, namespace: str) -> str:
    """The first label of the predictor's host name, `SERVICE-predictor-NAMESPACE`.

    KServe makes it for every service by its default domainTemplate `{{.Name}}-{{.Namespace}}.{{.IngressDomain}}`,
    also where ingress is off, and stops reconciling when it is longer than 63 characters (kserve/kserve#4807).
    """
    label = f"{service}-predictor-{namespace}"
    if len(label) > LABEL_MAX:
        room = LABEL_MAX - len(f"-predictor-{namespace}")
        fits = f"at most {room} characters fit" if room > 0 else "no name fits"
        raise ValueError(
            f"is too long for namespace {namespace}, {fits}: KServe makes the host name {label}, "
            f"of {len(label)} characters where {LABEL_MAX} are allowed"
        )
    return label


def model_path(path: str) -> str:
    """A directory on a claim: relative, below the root, and one that KServe and the dashboard both take.

    The dashboard's wizard accepts `[^/\\s][^\\s]*` after the claim (odh-dashboard, PVCInputField.tsx); KServe makes it
    the `subPath` of a mount, in which Kubernetes refuses `..`.
    """
    components = path.split("/")
    if not path or set(components) <= {"", "."}:
        raise ValueError("must name a directory: a model at the root of a claim would share it with everything else")
    if path.startswith("/"):
        raise ValueError(f"must not begin with '/': it is relative to the claim, {path.strip('/')!r} would do")
    if any(character.isspace() for character in path):
        raise ValueError("must not contain blanks: the dashboard does not take them")
    if not path.isprintable() or "\\" in path:
        raise ValueError("must not contain control characters or backslashes")
    if ".." in components:
        raise ValueError("must not contain '..'")
    if "" in components or "." in components:
        raise ValueError(f"must not contain '.', '//' or a trailing '/': {_plain(components)!r} would do")
    if components[0] in (OURS, "lost+found"):
        raise ValueError(f"must not be in {components[0]}, which belongs to others")
    if len(path.encode()) > PATH_MAX or any(len(component.encode()) > 255 for component in components):
        raise ValueError(f"is too long: 255 bytes for a name, {PATH_MAX} in all")
    return path


def origin(text: str) -> str:
    """An InferenceService to start from: NAME or NAMESPACE/NAME, or a file that holds it."""
    if text.endswith(FILE_SUFFIXES):
        return text
    namespace, slash, name = text.rpartition("/")
    if slash:
        dns_label(namespace)
    dns_label(name)
    return text


def split_origin(text: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of an origin, where `namespace` is the one meant by a bare name."""
    where, _, name = text.rpartition("/")
    return where or namespace, name


def label_from(text: str, limit: int = LABEL_MAX) -> str:
    """The nearest DNS label to `text`: `Granite 7B_Lab` gives `granite-7b-lab`; empty when nothing is left."""
    return _UNFIT.sub("-", text.lower()).strip("-")[:limit].strip("-")


def _suggestion(name: str) -> str:
    """`: granite-7b would do`, where a near label exists."""
    near = label_from(name)
    return f": {near} would do" if near and near != name else ""


def _plain(components: list[str]) -> str:
    return "/".join(component for component in components if component not in ("", "."))
