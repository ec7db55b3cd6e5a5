"""Rows of the table: a service that KServe cannot act on, and pods that are refused.

Owns words, remedies and sources, in causal order. Must not know how a trap is recognised.
"""

from __future__ import annotations

from pvserve.diagnose.meanings.row import Meaning

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
        "KServe calls the service's spec invalid, for another reason",
        "KServe calls the spec of InferenceService {service} invalid",
        ("kubectl -n {namespace} describe inferenceservice {service}",),
        "kserve status.modelStatus.transitionStatus InvalidSpec, as observed",
    ),
    Meaning(
        "KnativeWithoutClaims",
        "Knative's flags for claims are off",
        "Knative refuses the pods of InferenceService {service}, because its flags for claims are off",
        (
            "kubectl -n knative-serving patch configmap config-features --type merge "
            '-p \'{{"data":{{"kubernetes.podspec-persistent-volume-claim":"enabled"}}}}\'',
            "or serve without Knative: kubectl -n {namespace} annotate inferenceservice {service} --overwrite "
            "serving.kserve.io/deploymentMode=Standard",
        ),
        "knative.dev/serving pkg/apis/serving/k8s_validation.go; "
        "https://knative.dev/docs/serving/configuration/feature-flags",
    ),
    Meaning(
        "ServiceError",
        "KServe reports an error that is none of these",
        "KServe reports an error on InferenceService {service}",
        ("kubectl -n {namespace} describe inferenceservice {service}",),
        "KServe's event InternalError, as observed",
        "warn",
    ),
    Meaning(
        "NoStatus",
        "KServe's controller does not act on the service, or fails before it can say so",
        "InferenceService {service} has had no status for {seconds} s",
        (
            "kubectl get pods -A -l control-plane=kserve-controller-manager",
            "kubectl -n {namespace} describe inferenceservice {service}",
        ),
        "kserve pkg/controller/v1beta1/inferenceservice/controller.go: a reconcile that gets through writes a status",
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
