"""Flags that commands share, and what is made of them.

Owns the flags' names and meanings. Must not hold logic beyond turning flags into values.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pvserve.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from pvserve.cluster import Cluster
    from pvserve.events import Listener

Function = Callable[..., Any]


@dataclass(frozen=True)
class Shared:
    """The flags that every cluster command takes."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None
    as_user: str | None
    request_timeout: float
    output: str
    verbose: int

    @property
    def json(self) -> bool:
        """Whether the output is for machines."""
        return self.output == "json"

    def connect(self, namespace: str | None = None) -> Cluster:
        """The cluster that the flags, $KUBECONFIG, ~/.kube/config or the pod's own account name, in that order."""
        from pvserve.cluster import Cluster

        return Cluster.connect(
            kubeconfig=self.kubeconfig,
            context=self.context,
            namespace=self.namespace or namespace,
            as_user=self.as_user,
            request_timeout=self.request_timeout,
        )

    def listener(self) -> Listener:
        """Where progress goes: JSON lines to stdout with -o json, else words to stderr."""
        from pvserve.show.progress import JsonLines, progress

        return JsonLines(sys.stdout) if self.json else progress(sys.stderr)

    def print(self, value: Any, text: str) -> None:
        """The result: `value` as one JSON line or YAML, else `text`."""
        if self.json:
            print(json.dumps({"type": "result", **value}, default=str))
        elif self.output == "yaml":
            from pvserve.render.scalars import dump

            print(dump(value), end="")
        else:
            print(text, end="")


def cluster_options(function: Function) -> Function:
    """Adds the flags of `Shared` and passes it as first argument."""

    @click.option("-n", "--namespace", help="Namespace; default: that of the kubeconfig context or the pod.")
    @click.option("--context", help="Context of the kubeconfig.")
    @click.option("--kubeconfig", type=click.Path(), help="Kubeconfig file; default: $KUBECONFIG, ~/.kube/config.")
    @click.option("--as", "as_user", help="User to impersonate.")
    @click.option("--request-timeout", type=float, default=30.0, show_default=True, help="Seconds per API request.")
    @click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
    @click.option("-v", "--verbose", count=True, help="Say more.")
    @functools.wraps(function)
    def wrapped(**flags: Any) -> Any:
        fields = ("namespace", "context", "kubeconfig", "as_user", "request_timeout", "output", "verbose")
        shared = Shared(**{field: flags.pop(field) for field in fields})
        return function(shared, **flags)

    return wrapped


def spec_options(function: Function) -> Function:
    """Adds the flags that say what a model is and how it is served; they win over a model file."""
    options = [
        click.argument("source", required=False),
        click.option("-f", "--file", "file", help="Model file; '-' reads stdin."),
        click.option("--from", "origin", help="InferenceService to start from: NAME or NAMESPACE/NAME."),
        click.option("--name", help="Name of the InferenceService to be."),
        click.option("--claim", help="PersistentVolumeClaim that is to hold the model."),
        click.option("--path", help="Directory on the claim; default: the model directory's name."),
        click.option("--in-place", is_flag=True, default=None, help="Edit the service instead of making a new one."),
        click.option("--retain", type=click.Choice(["auto", "class", "volume", "no"]), help="How the data is kept."),
        click.option("--storage-class", help="StorageClass of a new claim."),
        click.option("--access-mode", help="Access mode of a new claim."),
        click.option("--size", help="Size of a new claim; default: from the model's bytes."),
        click.option("--image", help="Image of the loader pod; default: one the cluster has."),
        click.option(
            "--via", type=click.Choice(["auto", "pod", "port-forward", "exec"]), help="Channel for the bytes."
        ),
        click.option("--replace", is_flag=True, default=None, help="Allow other content where a model lies already."),
        click.option("--include", multiple=True, help="Only files that match this pattern."),
        click.option("--exclude", multiple=True, help="Leave out files that match this pattern."),
        click.option("--timeout", type=int, help="Seconds to wait for the service to be Ready."),
        click.option("--checksum", is_flag=True, help="Read every byte again instead of trusting the digest cache."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def confirm(question: str, *, yes: bool) -> None:
    """Asks on a terminal; without one the answer must have been given by -y.

    Raises UsageError naming the flag where nobody can be asked, Interrupted when the answer is no.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("NeedsYes", "this changes the cluster and there is no terminal to ask on", remedy=("add -y",))
    if not click.confirm(question, err=True):
        raise Interrupted("NotConfirmed", "nothing was changed")
