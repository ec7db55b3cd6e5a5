"""What pvserve costs before it works: `--help` against a bare interpreter, and a cluster command beyond its requests.

python benchmarks/startup.py     ($KUBECONFIG names the cluster)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import click
from rounds import machine, seconds, spread

from pvserve.cluster import Cluster

HELP_GOAL, COMMAND_GOAL = 0.150, 1.5
PVSERVE = str(Path(sys.executable).parent / "pvserve")
# What the requests alone cost: one client that is connected already, asking as `ls` does, in a process of its own.
_REQUESTS = """
import sys, time
from pvserve.api import volumes
from pvserve.cluster import Cluster
cluster = Cluster.connect(namespace=sys.argv[1])
volumes.ls(cluster)
began = time.perf_counter()
volumes.ls(cluster)
print(time.perf_counter() - began)
"""


def run(*words: str) -> float:
    """Seconds of one process; its exit code is not looked at, since `status` of nothing fails as it should."""
    return seconds(lambda: subprocess.run(words, check=False, capture_output=True))


def requests(namespace: str) -> float:
    """Seconds that `ls` takes in a process that has done it once."""
    done = subprocess.run([sys.executable, "-c", _REQUESTS, namespace], check=True, capture_output=True, text=True)
    return float(done.stdout)


def verdict(figure: float, goal: float) -> str:
    """The difference of medians, and the goal."""
    return f"{figure:.3f} s   goal {goal:g} s: {'reached' if figure <= goal else 'MISSED'}"


@click.command()
@click.option("--rounds", default=15, show_default=True)
@click.option("--namespace", default="default", show_default=True)
def main(rounds: int, namespace: str) -> None:
    """Measure; every round runs each command once."""
    print(machine(Cluster.connect(namespace=namespace).version()))
    commands = {
        "python -c pass": (sys.executable, "-c", "pass"),
        "pvserve --help": (PVSERVE, "--help"),
        "pvserve ls": (PVSERVE, "ls", "-n", namespace),
        "pvserve status of nothing": (PVSERVE, "status", f"none-{os.getpid()}", "-n", namespace),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    asked: list[float] = []
    for _ in range(rounds):
        for name, words in commands.items():
            times[name].append(run(*words))
        asked.append(requests(namespace))
    for name, found in times.items():
        print(f"{name:<34} {spread(found)}")
    print(f"{'the requests of ls alone':<34} {spread(asked)}")
    middle = {name: statistics.median(found) for name, found in times.items()}
    beyond = middle["pvserve --help"] - middle["python -c pass"]
    print(f"{'--help beyond python -c pass':<34} {verdict(beyond, HELP_GOAL)}")
    for name in ("pvserve ls", "pvserve status of nothing"):
        print(f"{name + ' beyond requests':<34} {verdict(middle[name] - statistics.median(asked), COMMAND_GOAL)}")


if __name__ == "__main__":
    main()
