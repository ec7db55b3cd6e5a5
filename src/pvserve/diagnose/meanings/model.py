"""Rows of the table: servers that fail over their model, and what is left when nothing nearer is known.

Owns words, remedies and sources, in causal order. Must not know how a trap is recognised.
"""

from __future__ import annotations

from pvserve.diagnose.meanings.row import Meaning

MODEL: tuple[Meaning, ...] = (
    Meaning(
        "ModelUnreadable",
        "the server may not read the model's files",
        "container {container} of Pod {pod} may not read the model's files",
        (
            "pvserve verify {service}",
            "load it again as the uid that serves: pvserve load SOURCE pvc://{claim}/{path} --replace",
            "then the pod, which keeps the directory that it has: kubectl -n {namespace} delete pod {pod}",
        ),
        "log lines 'Permission denied' of the server",
    ),
    Meaning(
        "ModelMissing",
        "the path on the claim is missing or empty, or is not that of the model",
        "container {container} of Pod {pod} finds no model: its path is missing, empty, or another directory "
        "(of a path that is missing the kubelet makes an empty one)",
        (
            "pvserve verify {service}",
            "pvserve load SOURCE pvc://{claim}/{path}",
            "then the pod, which keeps the directory that it has: kubectl -n {namespace} delete pod {pod}",
        ),
        "log lines of llama.cpp, vLLM and MLServer; kubernetes pkg/volume/util/subpath SafeMakeDir",
    ),
    Meaning(
        "ModelCorrupt",
        "the weights are truncated or corrupt",
        "container {container} of Pod {pod} cannot read the model's weights: they are truncated or corrupt",
        (
            "pvserve verify {service}",
            "pvserve load SOURCE pvc://{claim}/{path} --replace",
            "then the pod, which keeps the directory that it has: kubectl -n {namespace} delete pod {pod}",
        ),
        "log lines of llama.cpp, safetensors (vLLM) and joblib (MLServer)",
    ),
    Meaning(
        "ModelNotForRuntime",
        "the model's format is not the runtime's",
        "the server of container {container} in Pod {pod} does not know this kind of model",
        (
            "kubectl -n {namespace} get servingruntimes "
            "-o custom-columns=NAME:.metadata.name,FORMATS:.spec.supportedModelFormats[*].name",
            "serve it with a runtime for its format",
        ),
        "log lines of llama.cpp, transformers (vLLM) and MLServer",
    ),
    Meaning(
        "GpuMemory",
        "the model does not fit into the accelerator's memory",
        "the model does not fit into the accelerator's memory in container {container} of Pod {pod}",
        ("ask for more of them, quantise the model, or lower --max-model-len and --gpu-memory-utilization",),
        "log lines 'CUDA out of memory' (PyTorch), 'No available memory for the cache blocks' (vLLM)",
    ),
    Meaning(
        "ModelReadOnly",
        "the server writes beside the model",
        "container {container} of Pod {pod} wants to write on a read-only file system",
        (
            "give it another place to write: an emptyDir, and HF_HOME or the like",
            "or, for the claim: kubectl -n {namespace} annotate inferenceservice {service} "
            "storage.kserve.io/readonly=false",
        ),
        "log lines 'Read-only file system'; recording pvc-read-write",
    ),
    Meaning(
        "PhonesHome",
        "the server wants to download at its start",
        "container {container} of Pod {pod} wants something from the network that it cannot reach",
        ("set HF_HUB_OFFLINE=1 in the ServingRuntime's container, and load what it lacks onto the claim",),
        "log lines of huggingface_hub and of connections that fail",
    ),
    Meaning(
        "InitContainerFailed",
        "an init container fails",
        "init container {container} of Pod {pod} fails with exit code {code}",
        ("kubectl -n {namespace} logs {pod} -c {container}",),
        "Kubernetes: init containers; its last lines, as observed",
    ),
    Meaning(
        "CrashLoop",
        "the server exits again and again",
        "container {container} of Pod {pod} exits with code {code}, {restarts} times by now",
        ("kubectl -n {namespace} logs {pod} -c {container} --previous={again}",),
        "Kubernetes: CrashLoopBackOff; its last lines, as observed",
    ),
    Meaning(
        "LivenessKills",
        "the liveness probe kills the server before it has loaded",
        "the kubelet restarts container {container} of Pod {pod}, because it fails its liveness probe",
        ("give the ServingRuntime's container a startupProbe as long as the model takes to load",),
        "kubelet: event Killing 'failed liveness probe'",
    ),
    Meaning(
        "NotListening",
        "the server runs but does not answer its probe",
        "container {container} of Pod {pod} has been running for {seconds} s and does not answer its probe",
        ("kubectl -n {namespace} logs {pod} -c {container}",),
        "kubelet: event Unhealthy",
        "warn",
    ),
)

LATE: tuple[Meaning, ...] = (
    Meaning(
        "DeadlineExceeded",
        "the Deployment's progress deadline has passed",
        "Deployment {deployment} made no progress for {seconds} s, its progress deadline",
        (
            "kubectl -n {namespace} describe deployment {deployment}",
            "a model that merely loads longer becomes Ready later: pvserve status {service}",
        ),
        "Kubernetes: Deployments, progressDeadlineSeconds; kserve#5684",
    ),
    Meaning(
        "PolicyClosesIngress",
        "a NetworkPolicy lets nobody reach the pods",
        "NetworkPolicy {policy} selects Pod {pod} and lets nobody in",
        ("kubectl -n {namespace} describe networkpolicy {policy}", "allow the gateway's and the callers' namespaces"),
        "Kubernetes: network policies; whether it is enforced depends on the network plugin",
        "warn",
    ),
    Meaning(
        "PolicyClosesEgress",
        "a NetworkPolicy lets the pods reach nothing",
        "NetworkPolicy {policy} selects Pod {pod} and lets it reach nothing",
        ("kubectl -n {namespace} describe networkpolicy {policy}", "allow DNS, and what the runtime downloads from"),
        "Kubernetes: network policies; whether it is enforced depends on the network plugin",
        "warn",
    ),
    Meaning(
        "NotReady",
        "the service is not Ready, and nothing explains it",
        "InferenceService {service} is not Ready",
        ("kubectl -n {namespace} describe inferenceservice {service}",),
        "the service's conditions, as observed",
        "warn",
    ),
    Meaning(
        "NotReadable",
        "you may not read what would tell",
        "{what} could not be read, so what they would tell is unknown",
        ("kubectl auth can-i --list -n {namespace}", "docs/rights.md lists the Role that suffices"),
        "Kubernetes: RBAC",
        "warn",
    ),
    Meaning(
        "Healthy",
        "nothing is wrong",
        "InferenceService {service} is Ready; these were checked",
        (),
        "pvserve",
        "info",
    ),
)
