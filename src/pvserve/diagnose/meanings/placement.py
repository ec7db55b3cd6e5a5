"""Rows of the table: claims without a volume, pods without a node, volumes that cannot be mounted.

Owns words, remedies and sources, in causal order. Must not know how a trap is recognised.
"""

from __future__ import annotations

from pvserve.diagnose.meanings.row import Meaning

CLAIM: tuple[Meaning, ...] = (
    Meaning(
        "ClaimMissing",
        "the claim does not exist in the service's namespace",
        "PersistentVolumeClaim {claim} does not exist in namespace {namespace}; pods cannot use a claim of another one",
        (
            "kubectl get persistentvolumeclaims -A --field-selector metadata.name={claim}",
            "where another namespace has it: pvserve share {claim} --to {namespace} -n THAT_NAMESPACE",
            "pvserve ls",
        ),
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
        "ClaimHeldByOldPod",
        "the service's own old pod holds the claim, and a rolling update keeps it until the new one is ready",
        "PersistentVolumeClaim {claim} is held by {holder}, an older one of the same service; {mode} lets Pod {pod} "
        "have it only after that",
        (
            "let the old pod go first: kubectl -n {namespace} patch inferenceservice {service} --type merge "
            '-p \'{{"spec":{{"predictor":{{"deploymentStrategy":{{"type":"Recreate"}}}}}}}}\'',
            "or serve from a ReadWriteMany claim",
        ),
        "Kubernetes: Deployment strategies, access modes; the events of ClaimHeld",
    ),
    Meaning(
        "ClaimHeld",
        "a ReadWriteOnce or ReadWriteOncePod claim is held by another pod",
        "PersistentVolumeClaim {claim} is held by {holder}; {mode} lets Pod {pod} have it only after that",
        (
            "kubectl -n {namespace} get pod {holder_pod} -o wide",
            "where a service holds it: kubectl -n {namespace} annotate inferenceservice {holder_service} "
            "serving.kserve.io/stop=true",
            "where it stands alone: kubectl -n {namespace} delete pod {holder_pod}",
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
        "Gated",
        "the pod waits in a queue",
        "Pod {pod} is held back by its scheduling gate {gates}",
        (
            "kubectl -n {namespace} get pod {pod} -o jsonpath='{{.spec.schedulingGates}}'",
            "where the gate is Kueue's: kubectl -n {namespace} get workloads.kueue.x-k8s.io,localqueues.kueue.x-k8s.io",
        ),
        "Kubernetes: pod scheduling readiness; Kueue",
        "warn",
    ),
    Meaning(
        "Unschedulable",
        "no node takes the pod, for another reason",
        "no node takes Pod {pod}",
        ("kubectl -n {namespace} describe pod {pod}",),
        "event FailedScheduling, as observed",
    ),
)

MOUNT: tuple[Meaning, ...] = (
    Meaning(
        "ClaimMountedTwice",
        "a pod has two volumes of one claim",
        "Pod {pod} has several volumes of claim {claim} ({volumes}), and the kubelet never starts such a pod",
        (
            "name the claim in one volume alone, and mount that at each place with the place's subPath",
            "KServe makes one for each entry of storageUris: have one entry alone name claim {claim}, as deploy does",
        ),
        "kubernetes#51853, and seen on a kubelet v1.34",
    ),
    Meaning(
        "MountNeedsObject",
        "a Secret or ConfigMap that is mounted does not exist",
        "Pod {pod} mounts {missing}, which does not exist",
        ("kubectl -n {namespace} get secrets,configmaps",),
        "kubelet: event FailedMount 'not found'",
    ),
    Meaning(
        "DriverMissing",
        "the node lacks the volume's CSI driver",
        "node {node} has no CSI driver {driver}, which Pod {pod} needs for its volume",
        ("kubectl get csinode {node} -o yaml", "kubectl get pods -A -o wide | grep {node}"),
        "kubelet: 'not found in the list of registered CSI drivers'",
    ),
    Meaning(
        "MountFailed",
        "the node cannot mount a volume",
        "node {node} cannot mount a volume of Pod {pod}",
        ("kubectl -n {namespace} describe pod {pod}",),
        "events FailedMount and FailedAttachVolume, as observed",
    ),
)
