"""The table's rows for what goes wrong before a pod has a node: service, admission, claim, scheduling.

Owns words, remedies and sources, in causal order. Must not know how a trap is recognised.
"""

from __future__ import annotations

from pvserve.diagnose.meaning import Meaning

SERVICE: tuple[Meaning, ...] = (
    Meaning(
        "ServiceMissing",
        "the service does not exist",
        "InferenceService {service} does not exist in namespace {namespace}",
        ("kubectl get inferenceservices -A", "pvserve ls -A"),
        "pvserve",
    ),
    Meaning(
        "ServiceStopped",
        "the service was stopped",
        "InferenceService {service} is stopped by its annotation serving.kserve.io/stop",
        ("kubectl -n {namespace} annotate inferenceservice {service} serving.kserve.io/stop-",),
        "kserve pkg/constants/constants.go StopAnnotationKey; recording pvc-stopped",
    ),
    Meaning(
        "StorageTwice",
        "both `storage` and `storageUri` are set",
        "InferenceService {service} names both storage and storageUri, and KServe serves neither",
        (
            "kubectl -n {namespace} patch inferenceservice {service} --type json "
            '-p \'[{{"op":"remove","path":"/spec/predictor/model/storage"}}]\'',
        ),
        "recording both-storage-and-uri",
    ),
    Meaning(
        "RuntimeMissing",
        "the serving runtime does not exist",
        "InferenceService {service} asks for serving runtime {runtime}, which is not in namespace {namespace}",
        (
            "kubectl -n {namespace} get servingruntimes",
            "kubectl get clusterservingruntimes",
            "kubectl -n {namespace} patch inferenceservice {service} --type merge "
            '-p \'{{"spec":{{"predictor":{{"model":{{"runtime":"RUNTIME"}}}}}}}}\'',
        ),
        "recording runtime-missing",
    ),
    Meaning(
        "RuntimeDisabled",
        "the serving runtime is disabled",
        "InferenceService {service} asks for serving runtime {runtime}, which is disabled",
        ('kubectl -n {namespace} patch servingruntime {runtime} --type merge -p \'{{"spec":{{"disabled":false}}}}\'',),
        "recording runtime-disabled",
    ),
    Meaning(
        "FormatUnsupported",
        "no serving runtime supports the model's format",
        "no serving runtime is for the model format {format} of InferenceService {service}",
        (
            "kubectl -n {namespace} get servingruntimes "
            "-o custom-columns=NAME:.metadata.name,FORMATS:.spec.supportedModelFormats[*].name",
            "name a runtime, or the format it supports, in spec.predictor.model",
        ),
        "recording format-unsupported",
    ),
    Meaning(
        "ServiceRefused",
        "KServe cannot act on the service, for a reason of its own",
        "KServe reports an error on InferenceService {service}",
        ("kubectl -n {namespace} describe inferenceservice {service}",),
        "KServe's event InternalError, as observed",
    ),
    Meaning(
        "NoController",
        "nothing acts on the service",
        "InferenceService {service} has had no status for {seconds} s: KServe's controller does not act on it",
        ("kubectl get pods -A -l control-plane=kserve-controller-manager",),
        "kserve pkg/controller/v1beta1/inferenceservice: a reconcile writes a status first",
    ),
)

CREATION: tuple[Meaning, ...] = (
    Meaning(
        "WebhookRefused",
        "an admission webhook refuses the pods",
        "the admission webhook {webhook} refuses the pods of {owner}",
        ("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations", "mend what its message names"),
        "Kubernetes: dynamic admission control, 'denied the request'",
    ),
    Meaning(
        "WebhookUnreachable",
        "an admission webhook that does not answer",
        "pods of {owner} cannot be made while the admission webhook {webhook} does not answer",
        ("kubectl get pods -A | grep -v Running",),
        "Kubernetes: dynamic admission control, failurePolicy Fail",
    ),
    Meaning(
        "QuotaExceeded",
        "a ResourceQuota leaves no room",
        "ResourceQuota {quota} of namespace {namespace} leaves no room for the pods of {owner}",
        (
            "kubectl -n {namespace} describe resourcequota {quota}",
            "ask for less in the service's resources, free some, or have the quota raised",
        ),
        "Kubernetes: resource quotas, 'exceeded quota'",
    ),
    Meaning(
        "QuotaNeedsResources",
        "a ResourceQuota demands requests or limits that the pods do not name",
        "ResourceQuota {quota} demands that the pods of {owner} name {missing}",
        ("set spec.predictor.model.resources of the service: {missing}",),
        "Kubernetes: resource quotas, 'failed quota: must specify'",
    ),
    Meaning(
        "LimitRangeExceeded",
        "a LimitRange forbids the pod's resources",
        "a LimitRange of namespace {namespace} forbids the resources of the pods of {owner}",
        ("kubectl -n {namespace} describe limitrange", "ask for resources within it"),
        "kubernetes plugin/pkg/admission/limitranger",
    ),
    Meaning(
        "PodSecurityRefused",
        "Pod Security admission refuses the pods",
        "the Pod Security level {level} of namespace {namespace} refuses the pods of {owner}",
        (
            "set in the ServingRuntime's container: runAsNonRoot, seccompProfile RuntimeDefault, "
            "allowPrivilegeEscalation false, capabilities drop ALL",
            "kubectl get namespace {namespace} --show-labels",
        ),
        "Kubernetes: Pod Security admission, 'violates PodSecurity'",
    ),
    Meaning(
        "SccRefused",
        "no OpenShift security context constraint admits the pods",
        "no security context constraint that the account of {owner} may use admits its pods",
        (
            "leave runAsUser and fsGroup of the ServingRuntime to the namespace",
            "oc -n {namespace} get rolebindings -o wide",
        ),
        "OpenShift: 'unable to validate against any security context constraint'",
    ),
    Meaning(
        "ServiceAccountMissing",
        "the pods' ServiceAccount does not exist",
        "the ServiceAccount {account} that the pods of {owner} run as does not exist",
        ("kubectl -n {namespace} create serviceaccount {account}",),
        "kubernetes plugin/pkg/admission/serviceaccount",
    ),
    Meaning(
        "PodNotCreated",
        "pods are refused for another reason",
        "the cluster does not make the pods of {owner}",
        ("kubectl -n {namespace} get events --field-selector reason=FailedCreate",),
        "event FailedCreate, as observed",
    ),
)

CLAIM: tuple[Meaning, ...] = (
    Meaning(
        "ClaimMissing",
        "the claim does not exist in the service's namespace",
        "PersistentVolumeClaim {claim} does not exist in namespace {namespace}; pods cannot use a claim of another one",
        ("kubectl get persistentvolumeclaims -A --field-selector metadata.name={claim}", "pvserve ls"),
        "recording pvc-missing-claim",
    ),
    Meaning(
        "ClaimTerminating",
        "the claim is being deleted",
        "PersistentVolumeClaim {claim} is being deleted: no new pod may use it",
        (
            "kubectl -n {namespace} describe persistentvolumeclaim {claim}",
            "keep its volume: kubectl patch persistentvolume {volume} "
            '-p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Retain"}}}}\'',
        ),
        "Kubernetes: storage object in use protection",
    ),
    Meaning(
        "ClaimLost",
        "the claim's volume is gone",
        "PersistentVolumeClaim {claim} has lost its volume {volume}",
        ("kubectl -n {namespace} describe persistentvolumeclaim {claim}", "kubectl get persistentvolume {volume}"),
        "Kubernetes: phase Lost",
    ),
    Meaning(
        "ClaimClassUnknown",
        "the claim names a StorageClass that does not exist",
        "PersistentVolumeClaim {claim} names StorageClass {storage_class}, which does not exist",
        (
            "kubectl get storageclasses",
            "kubectl -n {namespace} delete persistentvolumeclaim {claim}   # it holds nothing yet",
            "run the same command again with --storage-class CLASS",
        ),
        "Kubernetes: event ProvisioningFailed 'storageclass not found'",
    ),
    Meaning(
        "ClaimNoClass",
        "the claim names no StorageClass, and none is the default",
        "PersistentVolumeClaim {claim} names no StorageClass, none is filled in by default, and no volume fits",
        (
            "kubectl get storageclasses",
            "kubectl -n {namespace} delete persistentvolumeclaim {claim}   # it holds nothing yet",
            "run the same command again with --storage-class CLASS",
        ),
        "Kubernetes: event FailedBinding 'no storage class is set'",
    ),
    Meaning(
        "ClaimNoSpace",
        "the storage has no room for the claim",
        "the storage behind StorageClass {storage_class} has no room or quota for PersistentVolumeClaim {claim}",
        (
            "kubectl -n {namespace} describe persistentvolumeclaim {claim}",
            "ask for less, or for another class with --storage-class",
        ),
        "CSI: CreateVolume RESOURCE_EXHAUSTED or OUT_OF_RANGE",
    ),
    Meaning(
        "ClaimNotProvisioned",
        "the provisioner cannot make the volume",
        "the provisioner cannot make a volume for PersistentVolumeClaim {claim}",
        (
            "kubectl -n {namespace} describe persistentvolumeclaim {claim}",
            "kubectl get storageclass {storage_class} -o yaml",
        ),
        "event ProvisioningFailed, as observed; CSI error codes",
    ),
    Meaning(
        "ProvisionerSilent",
        "the provisioner does not answer",
        "PersistentVolumeClaim {claim} has no volume: {provisioner} has been silent for {seconds} s",
        ("kubectl get pods -A | grep -i csi", "kubectl get csidrivers"),
        "Kubernetes: event ExternalProvisioning",
    ),
    Meaning(
        "ClaimProvisioning",
        "the claim's volume is being made",
        "PersistentVolumeClaim {claim} waits for its volume, which is being made",
        (),
        "Kubernetes: events ExternalProvisioning, Provisioning",
        "info",
    ),
    Meaning(
        "ClaimWaitsForPod",
        "the claim waits for its first pod",
        "PersistentVolumeClaim {claim} gets its volume when a pod that uses it is scheduled",
        (),
        "Kubernetes: volumeBindingMode WaitForFirstConsumer",
        "info",
    ),
)

SCHEDULING: tuple[Meaning, ...] = (
    Meaning(
        "ClaimHeld",
        "a ReadWriteOnce or ReadWriteOncePod claim is held by another pod",
        "PersistentVolumeClaim {claim} is held by {holder}; {mode} lets Pod {pod} have it only after that",
        (
            "kubectl -n {namespace} get pod {holder_pod} -o wide",
            "let the old pod go first: kubectl -n {namespace} patch inferenceservice {service} --type merge "
            '-p \'{{"spec":{{"predictor":{{"deploymentStrategy":{{"type":"Recreate"}}}}}}}}\'',
            "or serve from a ReadWriteMany claim",
        ),
        "Kubernetes: access modes; event FailedAttachVolume 'Multi-Attach error'; "
        "scheduler 'ReadWriteOncePod access mode'",
    ),
    Meaning(
        "VolumeElsewhere",
        "the volume can only be reached from other nodes or zones",
        "Pod {pod} cannot run where the volume of PersistentVolumeClaim {claim} is: {where}",
        (
            "kubectl get nodes -L topology.kubernetes.io/zone",
            "kubectl get persistentvolume {volume} -o jsonpath='{{.spec.nodeAffinity}}'",
            "give the service the selector and tolerations of a node there, or load onto a claim in its zone",
        ),
        "scheduler: 'volume node affinity conflict'",
    ),
    Meaning(
        "NoVolumeToBind",
        "no node can have a volume for the claim",
        "no node that Pod {pod} may run on can have a volume for its claim",
        (
            "kubectl get storageclass -o yaml   # allowedTopologies",
            "kubectl -n {namespace} describe persistentvolumeclaim",
        ),
        "scheduler: 'didn't find available persistent volumes to bind', 'not enough free storage'",
    ),
    Meaning(
        "NoGpu",
        "no node has the accelerator free",
        "no node has {resource} free for Pod {pod}, which asks for {wanted}",
        (
            "kubectl get nodes -o custom-columns=NODE:.metadata.name,HAS:.status.allocatable",
            "kubectl get pods -A -o wide | grep predictor   # who has it",
            "free one, or let the old pod go first with deploymentStrategy Recreate",
        ),
        "scheduler: 'Insufficient RESOURCE' of an extended resource",
    ),
    Meaning(
        "NoRoom",
        "no node has the memory or CPU free",
        "no node has enough {resource} free for Pod {pod}, which asks for {wanted}",
        ("kubectl describe nodes | grep -A8 Allocated", "ask for less in spec.predictor.model.resources"),
        "scheduler: 'Insufficient memory', 'Insufficient cpu'",
    ),
    Meaning(
        "NoMatchingNode",
        "no node has the labels that the pod selects",
        "no node matches the node selector or affinity of Pod {pod}: {wanted}",
        ("kubectl get nodes --show-labels", "correct spec.predictor.nodeSelector or affinity"),
        "scheduler: 'didn't match Pod's node affinity/selector'",
    ),
    Meaning(
        "Untolerated",
        "nodes have taints that the pod does not tolerate",
        "nodes are tainted {taint}, which Pod {pod} does not tolerate",
        (
            "kubectl get nodes -o custom-columns=NODE:.metadata.name,TAINTS:.spec.taints",
            "add the toleration under spec.predictor.tolerations",
        ),
        "scheduler: 'untolerated taint'",
    ),
    Meaning(
        "Unschedulable",
        "no node takes the pod, for another reason",
        "no node takes Pod {pod}",
        ("kubectl -n {namespace} describe pod {pod}",),
        "event FailedScheduling, as observed",
    ),
)
