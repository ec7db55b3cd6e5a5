"""What the bed asks of a machine, and how it says what is missing."""

from __future__ import annotations

import socket
from collections import namedtuple
from pathlib import Path

import pytest

from bed import cli, network, preflight
from bed.errors import BedError
from bed.leftovers import is_root_of_container
from bed.settings import Settings

Usage = namedtuple("Usage", "total used free")


def settings_in(directory: Path) -> Settings:
    return Settings(directory / "home", directory / "cache", directory / "volumes")


def test_not_root_is_one_sentence_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("BED_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.argv", ["bed", "up"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(
        "error: the bed makes mounts, bridges and containers, which only root may\n"
    )
    assert not (tmp_path / "home").exists()


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(BedError, match="runs on Linux only; this is darwin"):
        preflight.check_machine()


def test_a_disk_too_small_is_named_with_what_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(0, 0, 1 << 30))
    with pytest.raises(BedError, match=f"{tmp_path} has 1024 MiB free, the bed needs") as error:
        preflight.check_disk(settings_in(tmp_path), built=True)
    assert "BED_HOME" in error.value.remedy


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_in_use_is_named_with_who_holds_it(kind: socket.SocketKind) -> None:
    with socket.socket(type=kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        ports = {"coredns": ("127.0.0.1", port)}
        with pytest.raises(BedError, match=f"port {port} on 127.0.0.1, which coredns needs, .*pid="):
            preflight.check_ports(ports)
    preflight.check_ports(ports)


def test_a_listener_on_all_addresses_is_in_the_way_of_one() -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        with pytest.raises(OSError, match="in use"):
            preflight._bind("10.244.0.1", holder.getsockname()[1], socket.SOCK_STREAM)


@pytest.mark.parametrize(
    ("routes", "taken"),
    [
        ([{"dst": "default", "dev": "eth0"}, {"dst": "192.168.1.0/24", "dev": "eth0"}], ""),
        ([{"dst": "10.244.0.0/24", "dev": "bed0"}], ""),
        ([{"dst": "10.244.0.0/16", "dev": "cni0"}], "10.244.0.0/16"),
        ([{"dst": "10.96.3.7", "dev": "tun0"}], "10.96.3.7"),
        ([{"dst": "10.0.0.0/8", "dev": "tun0"}], "10.0.0.0/8"),
    ],
)
def test_routes_into_the_beds_subnets_are_found(routes: list[dict[str, str]], taken: str) -> None:
    assert preflight.overlapping(routes) == taken


def test_rules_that_lead_to_kube_proxy_are_told_from_the_others() -> None:
    saved = """*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -p tcp -j MY-KUBE
-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-1
COMMIT
"""
    assert network.jumps(saved) == [
        ["PREROUTING", "-m", "comment", "--comment", "kubernetes service portals", "-j", "KUBE-SERVICES"]
    ]


def test_a_process_is_the_beds_by_its_root_and_not_by_what_it_can_see() -> None:
    containerd = Path("/var/lib/bed/containerd")
    overlay = "- overlay overlay rw,lowerdir=/a:/b,upperdir=/var/lib/bed/containerd/x/fs"
    machine = f"21 1 254:0 / / rw - ext4 /dev/vda rw\n99 21 0:40 / /run/bed/rootfs rw {overlay}\n"
    inside = f"99 40 0:40 / / rw,relatime master:1 {overlay}\n100 99 0:5 / /proc rw - proc proc rw\n"
    assert is_root_of_container(inside, containerd)
    assert not is_root_of_container(machine, containerd)
    assert not is_root_of_container(inside, Path("/var/lib/other/containerd"))
    assert not is_root_of_container("", containerd)
