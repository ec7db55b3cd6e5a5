"""Which rights a plan needs, and what is lost without those that are optional.

Owns the table behind docs/rights.md. Pure: whether a right is there is asked by the cluster room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pvserve.facts import Right

KSERVE, LLM, CACHES = "serving.kserve.io", "llminferenceservices", "localmodelnamespacecaches"
Use = Literal[
    "load",
    "fetch",
    "serve",
    "in-place",
    "prove",
    "look",
    "retain-class",
    "retain-volume",
    "retain",
    "release",
    "adopt",
    "resize",
    "rm",
    "share",
    "share-to",
    "unshare",
    "gc",
    "clone",
    "snapshot",
]


@dataclass(frozen=True)
class Need:
    """Verbs on one resource for one use; `without` says what is lost where it is optional, "" = required."""

    use: Use
    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    without: str = ""
    cluster_wide: bool = False

    def rights(self, namespace: str) -> tuple[Right, ...]:
        """The rights, one per verb."""
        where = "" if self.cluster_wide else namespace
        return tuple(Right(verb, self.group, self.resource, where) for verb in self.verbs)


# pods/exec needs `get` for WebSockets and from Kubernetes 1.35 on `create` too (kubernetes#78741, enhancements#5524).
# pods/proxy needs `get` alone: the gate of 1.35, AuthorizePodWebsocketUpgradeCreatePermission, leaves it out. `edit`
# and `admin` hold it (plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go, editRules), `view` does not.
_EXEC = ("create", "get")
_UNKNOWN = "shown as unknown"
_ADMIN = "the plan shows the command for an administrator, and the data goes with the claim until it is run"

NEEDS: tuple[Need, ...] = (
    Need("load", "", "persistentvolumeclaims", ("get", "create", "patch"), "the claim and the record on it"),
    Need("load", "", "pods", ("get", "list", "create", "delete"), "the loader pod"),
    Need("load", "", "pods/exec", _EXEC, "starts the receiver in the loader pod"),
    Need("load", "coordination.k8s.io", "leases", ("get", "create", "patch"), "one writer per place on a claim"),
    Need("load", "", "pods/proxy", ("get",), "the fastest channel through the API server",
         "bytes go by port-forward, slower"),
    Need("load", "", "pods/portforward", _EXEC, "a channel through API server and kubelet",
         "without pods/proxy too, bytes go through exec, slower still"),
    Need("load", "networking.k8s.io", "networkpolicies", ("create",), "keeps all but the sender off the loader pod",
         "only its key and token do"),
    Need("load", "", "events", ("list",), "why a pod does not start", "a pod that does not start is not explained"),
    Need("load", "storage.k8s.io", "storageclasses", ("list",), "the choice of a class", "use --storage-class", True),
    Need("load", "cdi.kubevirt.io", "storageprofiles", ("list",), "the access modes of the class, where CDI knows them",
         "the provisioner's name tells them", True),
    Need("load", "", "persistentvolumes", ("get",), "the bound volume's reclaim policy", "it is unknown", True),
    Need("load", "", "nodes", ("get", "list"), "whether pods can be where the volume lies or is held",
         "only zones are compared; else it shows when pods stay Pending", True),
    Need("fetch", "batch", "jobs", ("get", "list", "create", "patch", "delete"), "the Job that fetches a source"),
    Need("fetch", "", "configmaps", ("create",), "its program"),
    Need("fetch", "", "pods/log", ("get",), "its progress", "only the state of its pod is shown"),
    Need("serve", KSERVE, "inferenceservices", ("get", "create", "patch"), "the service"),
    Need("serve", KSERVE, "servingruntimes", ("get", "create", "patch"), "the runtime, copied beside the service"),
    Need("serve", KSERVE, LLM, ("get", "create", "patch"), "a service of the other kind, where --from names one",
         "LLMInferenceServices are not served"),
    Need("serve", "", "pods", ("get", "list"), "states while waiting"),
    Need("serve", "apps", "deployments", ("list",), "states while waiting", "only pods and the service are shown"),
    Need("serve", "", "events", ("list",), "the cause of a failure", "a failure is shown without its cause"),
    Need("serve", "", "pods/log", ("get",), "the cause of a failure", "a failure is shown without its last lines"),
    Need("in-place", "", "configmaps", ("get", "create", "patch"), "what rollback goes back to"),
    Need("in-place", "", "secrets", ("get",), "the type of the service's connection; its content is never read",
         "the worst is assumed of the connection's webhook"),
    Need("look", KSERVE, "inferenceservices", ("get", "list"), "the services"),
    Need("look", KSERVE, "servingruntimes", ("list",), "runtimes that name a claim"),
    Need("look", KSERVE, LLM, ("get", "list"), "the services of the other kind, where the cluster has it",
         "`ls` shows services as unknown, `doctor` of all looks at InferenceServices alone"),
    Need("look", KSERVE, CACHES, ("list",), "models that KServe imports itself, where the cluster has the kind",
         "`ls` shows services as unknown"),
    Need("load", KSERVE, CACHES, ("list", "create", "patch"), "`render --to kserve-cache`: what KServe imports itself",
         "that form is refused, or looks at no other cache"),
    Need("look", "", "pods", ("list",), "their pods"),
    Need("look", "", "persistentvolumeclaims", ("get", "list"), "their claims"),
    Need("look", "batch", "jobs", ("list",), "loads that are suspended", _UNKNOWN),
    Need("look", "apps", "deployments", ("list",), "their rollouts", _UNKNOWN),
    Need("look", "apps", "replicasets", ("list",), "their rollouts", _UNKNOWN),
    Need("look", "networking.k8s.io", "networkpolicies", ("list",), "what cuts a pod off", _UNKNOWN),
    Need("look", "", "events", ("list",), "causes", _UNKNOWN),
    Need("look", "", "pods/log", ("get",), "causes", _UNKNOWN),
    Need("look", "", "resourcequotas", ("list",), "causes", _UNKNOWN),
    Need("look", "", "persistentvolumes", ("get", "list"), "reclaim policies", _UNKNOWN, True),
    Need("look", "", "nodes", ("list",), "why a pod has no node", _UNKNOWN, True),
    Need("look", "", "nodes/proxy", ("get",), "free bytes of claims", _UNKNOWN, True),
    Need("look", "storage.k8s.io", "storageclasses", ("list",), "why a claim has no volume", _UNKNOWN, True),
    Need("serve", "", "configmaps", ("get", "create", "patch"), "what rollback goes back to when the content changes",
         "other content is served without a way back by `rollback`"),
    Need("prove", KSERVE, "inferenceservices", ("get",), "the service"),
    Need("prove", "", "persistentvolumeclaims", ("get",), "the record of what was loaded"),
    Need("prove", KSERVE, CACHES, ("list",), "what KServe imported to a directory without a manifest",
         "that it may be KServe's is said to be unknown"),
    Need("prove", "", "pods", ("get", "list", "create", "delete"), "the live pods, and a pod that reads the volume"),
    Need("prove", "", "pods/exec", _EXEC, "reads the volume in that pod"),
    Need("prove", "", "pods/portforward", _EXEC, "asks for an inference"),
    Need("prove", "", "services", ("get",), "asks through the Service", "the pod is asked by port-forward"),
    Need("prove", "", "services/proxy", ("get", "create"), "asks through the Service",
         "the pod is asked by port-forward"),
    Need("prove", "", "serviceaccounts/token", ("create",),
         "a short-lived token of account NAME-sa for an endpoint that wants one",
         "give one with --token-file; else the answer is unknown (exit code 10)"),
    Need("prove", "", "configmaps", ("get",), "openshift-service-ca.crt, the CA of such an endpoint's certificate",
         "the certificate is not checked, and the proof says so"),
    Need("prove", "", "nodes/proxy", ("get",), "kubelet statistics of the node's disk",
         "it is measured in the containers; unknown (exit code 10) where their image lacks find, ls, awk and du", True),
    Need("retain-class", "storage.k8s.io", "storageclasses", ("create", "patch"), "a Retain copy", _ADMIN, True),
    Need("retain-volume", "", "persistentvolumes", ("get", "patch"), "Retain on the bound volume", _ADMIN, True),
    Need("retain", "", "persistentvolumeclaims", ("get",), "the claim"),
    Need("retain", "", "persistentvolumes", ("get", "patch"), "its volume", cluster_wide=True),
    Need("release", "", "persistentvolumeclaims", ("get", "delete"), "the claim that is given up"),
    Need("release", "", "pods", ("list",), "who uses it"),
    Need("release", KSERVE, "inferenceservices", ("list",), "who uses it"),
    Need("release", KSERVE, "servingruntimes", ("list",), "who uses it"),
    Need("release", KSERVE, LLM, ("list",), "who uses it; where the cluster has the kind"),
    Need("release", KSERVE, CACHES, ("list",), "who uses it; where the cluster has the kind"),
    Need("release", "", "persistentvolumes", ("get",), "that its data is kept", cluster_wide=True),
    Need("release", "", "persistentvolumes", ("patch",), "notes on the volume which models it holds",
         "`pvserve ls` does not show what the Released volume holds", True),
    Need("adopt", "", "persistentvolumeclaims", ("get", "create", "patch"), "the new claim"),
    Need("adopt", "", "persistentvolumes", ("get", "patch"), "the volume, kept for the new claim", cluster_wide=True),
    Need("resize", "", "persistentvolumeclaims", ("get", "patch"), "the claim"),
    Need("resize", "", "events", ("list",), "why it does not grow", "a resize that fails is not explained"),
    Need("rm", "", "persistentvolumeclaims", ("get", "patch"), "the claim and the record on it"),
    Need("rm", KSERVE, "inferenceservices", ("list",), "who uses the model"),
    Need("rm", KSERVE, "servingruntimes", ("list",), "who uses the model"),
    Need("rm", KSERVE, LLM, ("list",), "who uses the model; where the cluster has the kind"),
    Need("rm", KSERVE, CACHES, ("list",), "who uses the model; where the cluster has the kind"),
    Need("rm", "", "pods", ("get", "list", "create", "delete"), "who uses the model, and the pod that removes it"),
    Need("rm", "", "pods/exec", _EXEC, "removes it in that pod"),
    Need("rm", "coordination.k8s.io", "leases", ("get", "create", "patch"), "one writer per place on a claim"),
    Need("rm", "", "persistentvolumes", ("get", "list"), "who else has the data of this volume",
         "users in other namespaces are not looked for, and the plan says so", True),
    Need("share", "", "persistentvolumeclaims", ("get",), "the claim that is shared"),
    Need("share", "", "persistentvolumes", ("get", "create", "patch"), "its volume, and the one derived from it",
         cluster_wide=True),
    Need("share-to", "", "persistentvolumeclaims", ("get", "create", "patch"), "the claim for it"),
    Need("unshare", "", "persistentvolumeclaims", ("get", "delete"), "the claim of the share"),
    Need("unshare", "", "pods", ("list",), "who uses it"),
    Need("unshare", KSERVE, "inferenceservices", ("list",), "who uses it"),
    Need("unshare", KSERVE, "servingruntimes", ("list",), "who uses it"),
    Need("unshare", KSERVE, LLM, ("list",), "who uses it; where the cluster has the kind"),
    Need("unshare", KSERVE, CACHES, ("list",), "who uses it; where the cluster has the kind"),
    Need("unshare", "", "persistentvolumes", ("get", "list", "patch", "delete"),
         "its volume, and the count on the one that is shared", cluster_wide=True),
    Need("gc", "", "persistentvolumeclaims", ("get", "list"), "the claims"),
    Need("gc", KSERVE, "inferenceservices", ("list",), "who uses a model"),
    Need("gc", KSERVE, "servingruntimes", ("list",), "who uses a model"),
    Need("gc", KSERVE, LLM, ("list",), "who uses a model; where the cluster has the kind"),
    Need("gc", KSERVE, CACHES, ("list",), "who uses a model; where the cluster has the kind"),
    Need("gc", "", "pods", ("get", "list", "create", "delete"), "pods that are left, and those that look into claims"),
    Need("gc", "", "pods/exec", _EXEC, "looks into claims"),
    Need("gc", "coordination.k8s.io", "leases", ("get", "list", "create", "patch", "delete"), "who writes, and Leases"),
    Need("gc", "", "configmaps", ("list", "delete"), "records of services that are gone", "they are not looked for"),
    Need("gc", "", "persistentvolumes", ("list",), "Released volumes, and which Leases may go", "they stay", True),
    Need("gc", "storage.k8s.io", "storageclasses", ("list",), "copies of classes", "they are not looked for", True),
    Need("clone", "", "persistentvolumeclaims", ("get", "create", "patch", "delete"), "the claim, and the clone"),
    Need("clone", "", "events", ("list",), "what the driver says of the clone"),
    Need("clone", "storage.k8s.io", "storageclasses", ("get",), "which driver it is", "add `--try`", True),
    Need("snapshot", "snapshot.storage.k8s.io", "volumesnapshots", ("get", "create", "patch"), "the snapshot"),
    Need("snapshot", "snapshot.storage.k8s.io", "volumesnapshotclasses", ("list",), "whether the driver takes any",
         "no snapshot is used", True),
    Need("snapshot", "storage.k8s.io", "storageclasses", ("get",), "whose volumes it can become", "no snapshot is used",
         True),
)  # fmt: skip


def required(uses: Iterable[Use], namespace: str) -> tuple[Right, ...]:
    """The rights without which these uses cannot be carried out, each once."""
    wanted = set(uses)
    found = (right for need in NEEDS if need.use in wanted and not need.without for right in need.rights(namespace))
    return tuple(dict.fromkeys(found))


def rights_of(use: Use, namespace: str) -> tuple[Right, ...]:
    """All rights of one use, optional ones too."""
    return tuple(right for need in NEEDS if need.use == use for right in need.rights(namespace))


def may_record(namespace: str) -> Right:
    """Whether what a service was can be written down."""
    return Right("create", "", "configmaps", namespace)


def role_text(rights: Iterable[Right], name: str = "pvserve") -> str:
    """The Role, and the ClusterRole for rights that are cluster-wide, that give exactly these rights, as YAML."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.namespace, right.group, right.resource), []).append(right.verb)
    texts = []
    for where in dict.fromkeys(namespace for namespace, _, _ in verbs):
        kind, place = ("Role", f", namespace: {where}") if where else ("ClusterRole", "")
        rules = [
            f'- {{apiGroups: ["{group}"], resources: [{resource}], verbs: [{", ".join(listed)}]}}'
            for (namespace, group, resource), listed in verbs.items()
            if namespace == where
        ]
        head = f"apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}{place}}}\nrules:"
        texts.append("\n".join([head, *rules]))
    return "\n---\n".join(texts)
