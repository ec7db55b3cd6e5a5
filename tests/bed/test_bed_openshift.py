"""A namespace with OpenShift's ranges has OpenShift's admission: restricted-v2's ids, everything else refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .kubectl import Kubectl, claim, until

pytestmark = pytest.mark.bed
UIDS, GROUP = range(1000770000, 1000780000), 1000770000


@pytest.fixture
def project(kubectl: Kubectl) -> Kubectl:
    """The test's namespace (Pod Security `restricted`), made as OpenShift makes a project."""
    ranges = {"uid-range": f"{UIDS.start}/{len(UIDS)}", "supplemental-groups": f"{GROUP}/10000", "mcs": "s0:c28,c7"}
    values = [f"openshift.io/sa.scc.{name}={value}" for name, value in ranges.items()]
    kubectl("annotate", "namespace", kubectl.namespace, *values)
    return kubectl


def bare(name: str, **spec: Any) -> dict[str, Any]:
    """A pod that says nothing about security."""
    container = {"name": "main", "image": "bed.local/busybox:1", "command": ["sleep", "600"]}
    mounts = [{"name": item["name"], "mountPath": f"/{item['name']}"} for item in spec.get("volumes", ())]
    whole = {"containers": [container | {"volumeMounts": mounts}], "terminationGracePeriodSeconds": 0, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}


def refused(kubectl: Kubectl, item: dict[str, Any]) -> str:
    return kubectl("create", "-f", "-", stdin=json.dumps(item), check=False)


def test_a_pod_that_says_nothing_gets_the_namespaces_ids_and_can_write_its_claim(project: Kubectl) -> None:
    project.apply(claim("data", "64Mi"))
    project.apply(bare("quiet", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]))
    until("the pod runs", lambda: project.get("pod", "quiet")["status"]["phase"] == "Running")
    script = "id -u; id -G; touch /data/x; stat -c %g /data/x"
    uid, groups, owner = project("exec", "quiet", "--", "sh", "-c", script).splitlines()
    assert int(uid) == UIDS.start
    assert str(GROUP) in groups.split()
    assert int(owner) == GROUP
    assert project.get("pod", "quiet")["metadata"]["annotations"]["openshift.io/scc"] == "restricted-v2"


def test_other_ids_are_refused_with_every_reason(project: Kubectl) -> None:
    out = refused(project, bare("root", securityContext={"runAsUser": 0, "fsGroup": 5}))
    assert "unable to validate against any security context constraint" in out
    assert "provider restricted-v2: .containers[0].runAsUser: Invalid value: 0: must be in the ranges: " in out
    assert "5 is not an allowed group" in out


def test_a_replica_set_shows_the_refusal_as_an_event(project: Kubectl) -> None:
    pod = bare("root", securityContext={"runAsUser": 1000})
    project.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "root"},
            "spec": {
                "selector": {"matchLabels": {"app": "root"}},
                "template": {"metadata": {"labels": {"app": "root"}}, "spec": pod["spec"]},
            },
        }
    )
    until("it is told", lambda: "must be in the ranges" in project("get", "events", "-o", "jsonpath={..message}"))


def test_a_namespace_without_ranges_has_kubernetes_admission_only(kubectl: Kubectl) -> None:
    assert 'violates PodSecurity "restricted' in refused(kubectl, bare("quiet"))
