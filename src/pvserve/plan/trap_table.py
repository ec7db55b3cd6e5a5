"""What KServe accepts without a word and then does otherwise, as a table: what is said of it and what mends it.

Owns words, remedies and sources (docs/findings.md). Must not know how a trap is recognised. Sources: the recordings are
those of tests/emulator/recordings.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvserve.plan.part import Part, refused

CUSTOM_COLUMNS = "-o custom-columns=NAME:.metadata.name,FORMATS:.spec.supportedModelFormats[*].name"


@dataclass(frozen=True)
class Trap:
    """One row. `said` and `remedy` hold {placeholders} that the rule fills; `stops` refuses the plan.

    What does not is a note: `said` and the first line of `remedy`, parted by a colon.
    """

    code: str
    trap: str
    said: str
    remedy: tuple[str, ...]
    source: str
    stops: bool = False


TRAPS: tuple[Trap, ...] = (
    Trap(
        "StorageTwice",
        "both `storage` and `storageUri` are set",
        "{service} names both storage and storageUri, which KServe does not serve",
        ("only the claim stays",),
        "recording both-storage-and-uri",
    ),
    Trap(
        "SubPathLost",
        "`storageUris` lose the sub-path of a claim",
        "{service} lists storageUris, where KServe mounts a claim's root and loses the sub-path",
        ("a mount of the model's own directory, at {directory}, takes the place of the first",),
        "recording storage-uris-pvc",
    ),
    Trap(
        "SubPathStaysLost",
        "another entry of `storageUris` loses its path on a claim",
        "{place} stays in storageUris of {service}, and KServe mounts the claim's root at {directory}",
        ("its files are at {directory}/{path}, so let the server's arguments say so",),
        "recording storage-uris-pvc",
    ),
    Trap(
        "OthersOnTheClaim",
        "several entries of `storageUris` are on one claim",
        "{uri} of {service} is mounted at {directory} with its path, as the model is: with a volume for each entry of "
        "one claim, as KServe makes them, the pod would never start",
        ("what is not loaded there is an empty directory to the server",),
        "recording storage-uris-pvc; kubernetes#51853, and seen on a kubelet v1.34",
    ),
    Trap(
        "OthersCopied",
        "another entry of `storageUris` is on no claim",
        "what {service} lists for {places} stays where it is, and KServe copies it into an emptyDir at each start",
        ("put it on a claim with `pvserve load` and list that, which KServe mounts whole",),
        "recording s3-storage-uri",
    ),
    Trap(
        "ClaimElsewhere",
        "the claim is in another namespace",
        "claim {claim} is in namespace {others}, not in {namespace}: a pod can only mount a claim of its own namespace",
        (
            "serve it there: -n {other}",
            "or share its data with this namespace: pvserve share {claim} --to {namespace} -n {other}",
            "or load the model here: pvserve load MODEL_DIRECTORY pvc://{claim} -n {namespace}",
        ),
        "recording pvc-missing-claim",
        stops=True,
    ),
    Trap(
        "PathMissing",
        "nothing lies at the path on the claim",
        "nothing lies at {place}: of a path that is missing the kubelet makes an empty directory, and the server finds "
        "no model there",
        ("pvserve load MODEL_DIRECTORY {place} -n {namespace}", "or name the path where it lies: --path PATH"),
        "kubernetes pkg/volume/util/subpath SafeMakeDir",
        stops=True,
    ),
    Trap(
        "PathEmpty",
        "the path on the claim is an empty directory",
        "the directory {place} is empty",
        ("pvserve load MODEL_DIRECTORY {place} -n {namespace}", "or name the path where it lies: --path PATH"),
        "as observed by a pod that mounts the claim",
        stops=True,
    ),
    Trap(
        "PathIsFile",
        "the path on the claim is a file",
        "{place} is a file, and a service reads the directory of its model",
        ("name the directory that it lies in: --path {parent}",),
        "as observed by a pod that mounts the claim",
        stops=True,
    ),
    Trap(
        "CanaryOnOneNode",
        "a canary on a claim of one node",
        "{service} runs a canary ({percent} %), which needs two revisions at once, and one node at a time can mount "
        "claim {claim}",
        (
            "finish or end the canary first: remove spec.predictor.canaryTrafficPercent",
            "or choose a class that is ReadWriteMany: --storage-class CLASS with another --claim",
        ),
        "Kubernetes: access modes",
        stops=True,
    ),
    Trap(
        "WorkersOnOneNode",
        "a head and workers on a claim of one node",
        "{service} is served by {parts}, each mounts the model, and one node at a time can mount claim {claim}",
        (
            "choose a class that is ReadWriteMany: --storage-class CLASS with another --claim",
            "or make a copy of a loaded claim that many nodes can read: pvserve clone {claim} NEW --access-mode ROX",
        ),
        "recording worker-multinode",
        stops=True,
    ),
    Trap(
        "ReplicasOnOneNode",
        "several replicas on a claim of one node",
        "up to {most} replicas share claim {claim}, which one node at a time can mount, so that replicas on other "
        "nodes stay Pending",
        (
            "use a ReadWriteMany class, or set {field}: 1, or serve from a copy that many nodes read: "
            "pvserve clone {claim} NEW --access-mode ROX",
        ),
        "recording pvc-two-replicas",
    ),
    Trap(
        "RollingOnOneNode",
        "a rolling update on a claim of one node",
        "a rolling change starts the new pod before the old one ends, and one node at a time can mount claim {claim}",
        ("where pods may run on several nodes, choose deploymentStrategy.type: Recreate",),
        "Kubernetes: Deployment strategies, access modes",
    ),
    Trap(
        "AdmissionUndoesEdit",
        "a connection of the dashboard brings S3 back",
        "the cluster's admission would change {fields} of the service: it would not be served from the claim",
        ("kubectl get mutatingwebhookconfigurations", "remove what refers to the old storage from the service"),
        "the dry run's answer; opendatahub-operator pkg/webhook",
        stops=True,
    ),
    Trap(
        "NoSuchRuntime",
        "the serving runtime does not exist",
        "runtime {runtime} exists neither in namespace {namespace} nor in the cluster",
        ("kubectl get servingruntimes -n {namespace}", "kubectl get clusterservingruntimes"),
        "recording runtime-missing",
        stops=True,
    ),
    Trap(
        "RuntimeDisabled",
        "the serving runtime is disabled",
        "{runtime} is disabled",
        ('kubectl {where}patch {kind} {name} --type merge -p \'{{"spec":{{"disabled":false}}}}\'',),
        "recording runtime-disabled",
        stops=True,
    ),
    Trap(
        "FormatUnsupported",
        "the serving runtime is not for the model's format",
        "{runtime} does not serve format {format}, only {formats}",
        (
            "name the format that the runtime serves with --format, or another runtime with --runtime",
            f"kubectl get servingruntimes,clusterservingruntimes {CUSTOM_COLUMNS}",
        ),
        "recording format-unsupported: KServe says so only after the service is made",
        stops=True,
    ),
    Trap(
        "KnativeWithoutClaims",
        "Knative's flag for claims is off",
        "{service} runs in Knative mode, and Knative's flag {flag} is off on this cluster",
        (
            "kubectl -n knative-serving patch configmap config-features --type merge "
            '-p \'{{"data":{{"{flag}":"enabled"}}}}\'',
            "or serve it without Knative: annotation {mode}: RawDeployment",
        ),
        "https://knative.dev/docs/serving/configuration/feature-flags",
        stops=True,
    ),
    Trap(
        "ModelWritable",
        "a runtime that must write gets the model writable",
        "storage.kserve.io/readonly: false mounts the model writable",
        ("what the server writes lies on the claim, and a digest that it changes fails the proof",),
        "recording pvc-read-write",
    ),
    Trap(
        "DeadlineBeforeLoaded",
        "a progress deadline shorter than the load",
        "reading {size} at {speed} takes {seconds} s, and after {deadline} s without progress the Deployment is called "
        "failed",
        ("it goes on loading, and pvserve waits until --timeout",),
        "Kubernetes: Deployments, progressDeadlineSeconds; kserve#5684",
    ),
    Trap(
        "HubNotOff",
        "a runtime that would phone home",
        "{whose} does not set HF_HUB_OFFLINE=1, so that what the model directory lacks would be asked of the internet",
        ("set it in the ServingRuntime's container",),
        "huggingface_hub: environment variables",
    ),
)
_BY_CODE = {trap.code: trap for trap in TRAPS}


def note(code: str, /, **words: object) -> str:
    """The trap as a note of a plan that is carried out all the same."""
    said, remedy = _filled(code, words)
    return f"{said}: {remedy[0]}"


def stop(code: str, /, **words: object) -> Part:
    """The trap as the refusal of the plan."""
    said, remedy = _filled(code, words)
    return refused(code, said, *remedy)


def _filled(code: str, words: dict[str, object]) -> tuple[str, tuple[str, ...]]:
    trap = _BY_CODE[code]
    return trap.said.format_map(words), tuple(line.format_map(words) for line in trap.remedy)
