"""Names, Services, exec, port-forward, logs and kubelet statistics work on the bed."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest

from bed.build import installed
from bed.settings import NODE, settings

from .kubectl import Kubectl, pod, until

pytestmark = pytest.mark.bed


def start(kubectl: Kubectl, name: str) -> None:
    kubectl.apply(pod(name, {}))
    until("the pod runs", lambda: kubectl.get("pod", name)["status"]["phase"] == "Running")


def test_a_service_is_reached_by_name_from_another_pod_and_from_itself(kubectl: Kubectl) -> None:
    spec = {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    start(kubectl, "server")
    start(kubectl, "client")
    kubectl("exec", "server", "--", "sh", "-c", "mkdir /tmp/w; echo hi > /tmp/w/x; httpd -p 8080 -h /tmp/w")
    for caller in ("client", "server"):
        until(
            "it answers",
            lambda caller=caller: "hi" in kubectl("exec", caller, "--", "wget", "-qO-", "http://web/x", check=False),
        )


def test_the_api_server_and_s3_have_names(kubectl: Kubectl) -> None:
    start(kubectl, "client")
    for name in ("kubernetes.default.svc.cluster.local", "s3.bed-system.svc.cluster.local"):
        assert "Address" in kubectl("exec", "client", "--", "nslookup", name)


def test_exec_and_logs(kubectl: Kubectl) -> None:
    start(kubectl, "worker")
    assert kubectl("exec", "-i", "worker", "--", "sha256sum", stdin="abc").startswith("ba7816bf")
    assert kubectl("logs", "worker") == "started\n"


def test_port_forward(kubectl: Kubectl) -> None:
    start(kubectl, "server")
    kubectl("exec", "server", "--", "sh", "-c", "echo hi > /tmp/x; httpd -p 8080 -h /tmp")
    bed = settings()
    program = installed(bed)["kubectl"]
    command = [str(program), "--kubeconfig", str(bed.kubeconfig), "-n", kubectl.namespace]
    with subprocess.Popen(
        [*command, "port-forward", "pod/server", ":8080"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split(":")[1].split()[0])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /x HTTP/1.0\r\n\r\n")
            assert b"200 OK" in connection.recv(4096)
        process.terminate()


def test_kubelet_statistics_name_the_pod(kubectl: Kubectl) -> None:
    start(kubectl, "worker")
    uid = kubectl.get("pod", "worker")["metadata"]["uid"]
    path = f"/api/v1/nodes/{NODE}/proxy/stats/summary"
    until(
        "it is listed", lambda: uid in {p["podRef"]["uid"] for p in json.loads(kubectl("get", "--raw", path))["pods"]}
    )


def test_pod_security_is_enforced(kubectl: Kubectl) -> None:
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}}
    bare |= {"spec": {"containers": [{"name": "c", "image": "bed.local/busybox:1"}]}}
    out = kubectl("apply", "-f", "-", stdin=json.dumps(bare), check=False)
    assert 'violates PodSecurity "restricted' in out


def test_a_pod_reaches_the_api_server_with_its_own_account(kubectl: Kubectl) -> None:
    kubectl("create", "role", "reader", "--verb=get", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={kubectl.namespace}:default")
    start(kubectl, "client")
    ask = (
        "cd /var/run/secrets/kubernetes.io/serviceaccount; wget --no-check-certificate -qO-"
        ' --header "Authorization: Bearer $(cat token)"'
        " https://kubernetes.default.svc/api/v1/namespaces/$(cat namespace)/"
    )
    until(
        "its role lets it read",
        lambda: (
            "BEGIN" in kubectl("exec", "client", "--", "sh", "-c", ask + "configmaps/kube-root-ca.crt", check=False)
        ),
    )
    assert "403" in kubectl("exec", "client", "--", "sh", "-c", ask + "secrets", check=False)


def test_statistics_need_the_right_to_read_them(kubectl: Kubectl) -> None:
    path = f"/api/v1/nodes/{NODE}/proxy/stats/summary"
    account = f"system:serviceaccount:{kubectl.namespace}:default"
    assert "forbidden" in kubectl("get", "--raw", path, "--as", account, check=False)


def test_names_outside_do_not_exist_and_do_not_hang(kubectl: Kubectl) -> None:
    start(kubectl, "client")
    assert "NXDOMAIN" in kubectl("exec", "client", "--", "nslookup", "huggingface.co", check=False)
