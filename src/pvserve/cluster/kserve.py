"""What the cluster's KServe is and how it is set up.

Owns the reading of ConfigMap `inferenceservice-config`. Must not decide what follows from it.
Source: kserve/pkg/apis/serving/v1beta1/configmap.go, kserve/pkg/webhook/admission/pod/storage_initializer_injector.go
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pvserve.errors import Refused
from pvserve.facts import KSERVE_NAMESPACES, KServeFacts, Object, Unknown, annotations_of
from pvserve.facts.objects import DEPLOYMENT_MODE

if TYPE_CHECKING:
    from pvserve.cluster.client import Cluster

API = "serving.kserve.io/v1beta1"
CONFIG = "inferenceservice-config"
KNATIVE_MODES = ("Serverless", "Knative")


def read_kserve(cluster: Cluster, namespaces: Sequence[str] = KSERVE_NAMESPACES) -> KServeFacts:
    """Whether KServe is served, and its settings from the first of `namespaces` that has them."""
    installed = cluster.serves(API)
    if installed is False:
        return KServeFacts(installed=False)
    settings = _settings(cluster, namespaces)
    if isinstance(settings, Unknown):
        return KServeFacts(installed, settings, settings)
    return KServeFacts(installed, *initializer(settings))


def knative_claims(cluster: Cluster, service: Object | None) -> bool | Unknown:
    """Whether Knative lets pods mount claims, where `service` runs in Knative mode. Without the flag it depends on its
    version.

    Source: https://knative.dev/docs/serving/configuration/feature-flags/#kubernetes-persistentvolumeclaim-pvc
    """
    mode = annotations_of(service).get(DEPLOYMENT_MODE, "") if service is not None else ""
    if mode not in KNATIVE_MODES:
        return Unknown("no service in Knative mode was read")
    found = cluster.find("v1", "ConfigMap", "config-features", "knative-serving")
    if isinstance(found, Unknown):
        return found
    flag = str(((found or {}).get("data") or {}).get("kubernetes.podspec-persistent-volume-claim", "")).lower()
    return flag != "disabled" if flag else Unknown("ConfigMap config-features does not name the flag for claims")


def storage_initializer_image(cluster: Cluster) -> str:
    """The image that every node with S3 models has already. Raises Refused where it cannot be found out."""
    image = read_kserve(cluster).storage_initializer_image
    if isinstance(image, Unknown):
        raise Refused(
            "NoLoaderImage",
            f"no image is known for a pod that reads the claim: {image.why}",
            remedy=("name one that has sh, tar and sha256sum, better Python 3, with --image",),
        )
    return image


def _settings(cluster: Cluster, namespaces: Sequence[str]) -> Object | Unknown:
    unreadable = None
    for namespace in namespaces:
        found = cluster.find("v1", "ConfigMap", CONFIG, namespace)
        if isinstance(found, Unknown):
            unreadable = unreadable or found
        elif found is not None:
            return found
    return unreadable or Unknown(f"no ConfigMap {CONFIG} in namespace {', '.join(namespaces)}", "not-asked")


def initializer(settings: Object) -> tuple[str | Unknown, bool | Unknown]:
    """The storage initializer's image, and whether claims are mounted directly.

    Where `enableDirectPvcVolumeMount` is not set, they are: KServe has no such setting any more (aaac4e2, 2026-08),
    and wrote it out when it had.
    """
    text = (settings.get("data") or {}).get("storageInitializer", "{}")
    try:
        values: Any = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, Mapping):
        broken = Unknown(f"storageInitializer in ConfigMap {CONFIG} is no JSON object")
        return broken, broken
    image = values.get("image")
    direct = values.get("enableDirectPvcVolumeMount", True)
    return str(image) if image else Unknown(f"ConfigMap {CONFIG} names no storage initializer"), bool(direct)
