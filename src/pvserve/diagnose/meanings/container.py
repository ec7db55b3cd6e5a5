"""Rows of the table: containers that do not start or do not stay, for reasons that are not the model's.

Owns words, remedies and sources, in causal order. Must not know how a trap is recognised.
"""

from __future__ import annotations

from pvserve.diagnose.meanings.row import Meaning

CONTAINER: tuple[Meaning, ...] = (
    Meaning(
        "ImagePullFailed",
        "the image cannot be pulled",
        "image {image} of container {container} in Pod {pod} cannot be pulled",
        (
            "check the name and the tag: {image}",
            "kubectl -n {namespace} get pod {pod} -o jsonpath='{{.spec.imagePullSecrets}}'   # for a private registry",
        ),
        "kubelet: ErrImagePull, ImagePullBackOff, InvalidImageName, ErrImageNeverPull",
    ),
    Meaning(
        "ConfigMissing",
        "a Secret or ConfigMap that the container reads does not exist",
        "container {container} of Pod {pod} needs {missing}",
        ("kubectl -n {namespace} get secrets,configmaps",),
        "kubelet: CreateContainerConfigError",
    ),
    Meaning(
        "RunsAsRoot",
        "the image would run as root and may not",
        "container {container} of Pod {pod} would run as root, which the pod forbids",
        ("set securityContext.runAsUser of the ServingRuntime's container to a number other than 0",),
        "kubelet: 'container has runAsNonRoot and image will run as root'",
    ),
    Meaning(
        "SubPathFailed",
        "the path on the claim is missing, and the volume is read-only",
        "the path that container {container} of Pod {pod} mounts is not on its volume and cannot be made there",
        ("pvserve verify pvc://{claim}/{path}", "pvserve load SOURCE pvc://{claim}/{path}"),
        "kubelet: 'failed to create subPath directory for volumeMount'",
    ),
    Meaning(
        "ContainerNotCreated",
        "the container cannot be started",
        "container {container} of Pod {pod} cannot be started",
        ("kubectl -n {namespace} describe pod {pod}",),
        "kubelet: CreateContainerError, RunContainerError, as observed",
    ),
    Meaning(
        "OomKilled",
        "the container needs more memory than its limit",
        "container {container} of Pod {pod} was killed at its memory limit of {limit}",
        (
            "raise spec.predictor.model.resources.limits.memory of InferenceService {service}",
            "or have the runtime use less: a shorter context, a smaller cache",
        ),
        "Kubernetes: OOMKilled",
    ),
    Meaning(
        "Evicted",
        "the node evicted the pod",
        "Pod {pod} was evicted from node {node}",
        (
            "kubectl describe node {node}",
            "a model that is downloaded fills the node's disk: serve it from a claim",
        ),
        "Kubernetes: node-pressure eviction, ephemeral storage limits",
    ),
    Meaning(
        "PodFailed",
        "the pod ended, and nothing starts it again",
        "Pod {pod} ended: {reason}",
        ("kubectl -n {namespace} describe pod {pod}",),
        "pod phase Failed, as observed",
    ),
)
