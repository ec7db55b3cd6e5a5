"""How a Job reaches a source: CAs that this machine's variables name, and a forward proxy.

Nothing in the namespace vouches for the shop: there is no trusted-CA ConfigMap.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.surroundings import CA_VARIABLES
from tests.unit.transfer.fetch.shop import KEY, SECRET

from .offers import make_namespace, until
from .shop import BEHIND, PORT, PROXY_PORT, contents, host_of, open_shop, secret
from .test_fetch import digest_of
from .ui_service import leaving_nothing, own_pods, pvserve

pytestmark = pytest.mark.cluster
ONE = "model-00001.safetensors"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def shop(any_cluster: Cluster, authority: Path) -> Iterator[Cluster]:
    """A namespace with the shop and a connection to it."""
    with make_namespace(any_cluster, {"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        cluster = Cluster.connect(namespace=namespace)
        shutil.copy(open_shop(cluster, authority), authority / "ca.pem")
        endpoint = f"https://{host_of(cluster)}:{PORT}/s3"
        secret(cluster, "models-s3", AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_S3_ENDPOINT=endpoint)
        with leaving_nothing(cluster):
            yield cluster


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in CA_VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_the_cas_that_a_variable_names_here_are_trusted_there(
    shop: Cluster, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    target = f"pvc://by-variable/{variable.lower()}"
    argv = ["load", "s3://bucket/granite", target, "--connection", "models-s3"]
    where = ("-n", shop.namespace, "-y", "--retain", "no")
    shutil.copy(authority / "ca.pem", tmp_path)
    monkeypatch.setenv(variable, str(tmp_path if variable.endswith("DIR") else tmp_path / "ca.pem"))
    if variable != "SSL_CERT_FILE":  # listing is enough to see it; one of them brings the bytes as well
        ran = pvserve(*argv, *where, "--dry-run")
        assert ran.code == 0, ran.explained()
        assert variable in ran.out
        return
    ran = pvserve(*argv, *where)
    assert ran.code == 0, ran.explained()
    assert ran.lines[-1]["manifest"] == digest_of(contents())
    until("no pod of ours is left", lambda: not own_pods(shop))


def test_a_job_goes_through_the_proxy_that_is_named(
    shop: Cluster, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    proxy = f"http://{host_of(shop)}:{PROXY_PORT}"
    source = f"https://{BEHIND}:{PORT}/{ONE}"  # a name that only the proxy knows
    argv = ["load", source, "pvc://proxied/granite", "--proxy", proxy, "-n", shop.namespace, "-y", "--retain", "no"]
    ran = pvserve(*argv)
    assert ran.code == 0, ran.explained()
    assert ran.lines[-1]["manifest"] == digest_of({ONE: contents()[ONE]})


def test_a_bundle_with_a_key_in_it_gives_away_no_key(
    shop: Cluster, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = tmp_path / "both.pem"
    key = "-----BEGIN PRIVATE KEY-----\nMIIsecret\n-----END PRIVATE KEY-----\n"
    both.write_text(key + (authority / "ca.pem").read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(both))
    argv = ["load", "s3://bucket/slow", "pvc://keyed/slow", "--connection", "models-s3", "--detach"]
    ran = pvserve(*argv, "-n", shop.namespace, "-y", "--retain", "no")
    assert ran.code == 0, ran.explained()
    live = json.dumps(shop.list("batch/v1", "Job", shop.namespace)) + ran.out
    assert "BEGIN CERTIFICATE" in live
    assert "MIIsecret" not in live
    followed = pvserve("status", "pvc://keyed/slow", "--follow", "-n", shop.namespace)
    assert followed.code == 0, followed.explained()
