"""Flags that commands share, and what is made of them.

Owns the flags' names and meanings. Must not hold logic beyond turning flags into values.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pvserve.cli.output import FORMS, Output
from pvserve.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from pvserve.cluster import Cluster
    from pvserve.events import Listener

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


@dataclass(frozen=True)
class Shared:
    """The flags that every cluster command takes."""

    namespace: str | None
    context: str | None
    kubeconfig: str | None
    as_user: str | None
    request_timeout: float
    output: str
    verbose: bool = False  # read in `main`, where errors are caught

    @property
    def out(self) -> Output:
        """Where results go."""
        return Output(self.output)

    def connect(self, namespace: str | None = None) -> Cluster:
        """The cluster that the flags, $KUBECONFIG, ~/.kube/config or the pod's own account name, in that order.

        Raises UsageError for a namespace that cannot be one.
        """
        wanted = self.namespace or namespace
        if wanted is not None:
            checked_name(wanted, "--namespace")
        from pvserve.cluster import Cluster

        return Cluster.connect(
            kubeconfig=self.kubeconfig,
            context=self.context,
            namespace=wanted,
            as_user=self.as_user,
            request_timeout=self.request_timeout,
        )

    def listener(self) -> Listener:
        """Where progress goes."""
        return self.out.listener()

    def print(self, value: Any, text: str) -> None:
        """The result: `value` for machines, else `text`."""
        self.out.result(value, text)


def checked_name(name: str, what: str) -> str:
    """`name`, which may be put into a request. Raises UsageError where no object can have it."""
    from pvserve.spec.names import dns_label

    return _checked(dns_label, name, what)


def checked_volume(name: str) -> str:
    """As `checked_name`, for an object whose name may have dots."""
    from pvserve.spec.names import object_name

    return _checked(object_name, name, "VOLUME")


def _checked(rule: Callable[[str], str], name: str, what: str) -> str:
    try:
        return rule(name)
    except ValueError as error:
        raise UsageError("NotAName", f"{what}: {name!r:.100} {error}", subject=what) from None


def _all(options: list[Decorator]) -> Decorator:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def cluster_options(function: Function) -> Function:
    """Adds the flags of `Shared` and passes it as first argument."""

    @click.option("-n", "--namespace", help="Namespace; default: that of the kubeconfig context or the pod.")
    @click.option("--context", help="Context of the kubeconfig.")
    @click.option("--kubeconfig", type=click.Path(), help="Kubeconfig file; default: $KUBECONFIG, ~/.kube/config.")
    @click.option("--as", "as_user", help="User to impersonate.")
    @click.option(
        "--request-timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        help="Seconds per API request.",
    )
    @output_option
    @click.option("-v", "--verbose", is_flag=True, help="With the traceback of an internal error.")
    @functools.wraps(function)
    def wrapped(**flags: Any) -> Any:
        fields = ("namespace", "context", "kubeconfig", "as_user", "request_timeout", "output", "verbose")
        shared = Shared(**{field: flags.pop(field) for field in fields})
        return function(shared, **flags)

    return wrapped


output_option = click.option(
    "-o", "--output", type=click.Choice(FORMS), default="text", show_default=True, help="Form of what is printed."
)
_FROM = click.option("--from", "origin", help="InferenceService to start from: NAME, NAMESPACE/NAME, or a file.")
_FILE = click.option("-f", "--file", "file", help="Model file, or a directory of them; '-' reads stdin.")
_VALUES = [
    click.option("--values", multiple=True, metavar="FILE", help="Keys laid over every model; several times."),
    click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One such key, as claim.size=20Gi."),
]
_IN_PLACE = click.option("--in-place", is_flag=True, default=None, help="Edit the service instead of making a new one.")
_TIMEOUT = click.option("--timeout", type=int, help="Seconds to wait for the service to be Ready.")
_RUNTIME = [
    click.option(
        "--runtime",
        help="ServingRuntime, ClusterServingRuntime or Template of one, where there is no --from.",
    ),
    click.option(
        "--format", "model_format", help="Model format, as vLLM or sklearn; default: the runtime's, if it has one."
    ),
]
_NEW_CLAIM = [
    click.option("--retain", type=click.Choice(["auto", "class", "volume", "no"]), help="How the data is kept."),
    click.option("--storage-class", help="StorageClass of a new claim."),
    click.option("--access-mode", help="Access mode of a new claim."),
    click.option("--size", help="Size of a new claim; default: from the model's bytes."),
]
_BYTES = [
    click.option("--image", help="Image of the loader pod; default: one the cluster has."),
    click.option(
        "--via", type=click.Choice(["auto", "pod", "proxy", "port-forward", "exec"]), help="Channel for the bytes."
    ),
    click.option(
        "--no-claim-copy",
        "claim_copy",
        flag_value=False,
        type=bool,
        default=None,
        help="In a pod: send also what lies on its own claim over the network.",
    ),
    click.option("--replace", is_flag=True, default=None, help="Allow other content where a model lies already."),
    click.option("--include", multiple=True, help="Only files that match this pattern; may be given several times."),
    click.option("--exclude", multiple=True, help="Leave out files that match this pattern; several times."),
    click.option(
        "--connection", metavar="SECRET", help="Secret with the credentials of an s3://, https://, hf:// or oci://."
    ),
    click.option("--connection-key", metavar="KEY", help="Its entry, where it is a KServe storage-config."),
    click.option("--endpoint", help="Address of the S3 server, or of a mirror of the Hugging Face Hub."),
    click.option("--region", help="S3 region."),
    click.option("--anonymous", is_flag=True, default=None, help="Ask the source without credentials."),
    click.option("--allow-pickle", is_flag=True, default=None, help="Take pickles, which run code on loading."),
    click.option("--ca", metavar="CONFIGMAP", help="ConfigMap with CA certificates; default: odh-trusted-ca-bundle."),
    click.option("--proxy", help="http:// address of a forward proxy, for the cluster."),
    click.option("--no-proxy", help="Hosts and networks that it is not for."),
    click.option(
        "--shards", type=click.IntRange(1, 64), help="Pods that fetch it together; ReadWriteMany claims only."
    ),
    click.option(
        "--storage-initializer", is_flag=True, default=None, help="Download with KServe's own storage initializer."
    ),
    click.option("--queue", help="Kueue LocalQueue for the Job that fetches."),
    click.option(
        "--checksum",
        is_flag=True,
        help="Read every byte again instead of trusting earlier digests, also of a claim that is the source.",
    ),
]

# What a model is and how it is served; wins over a model file.
spec_options = _all(
    [
        click.argument("source", required=False),
        _FILE,
        *_VALUES,
        _FROM,
        *_RUNTIME,
        click.option("--name", help="Name of the InferenceService to be."),
        click.option("--claim", help="PersistentVolumeClaim that is to hold the model."),
        click.option("--path", help="Directory on the claim; default: the model directory's name."),
        _IN_PLACE,
        *_NEW_CLAIM,
        *_BYTES,
        _TIMEOUT,
    ]
)
force_option = click.option(
    "--force-conflicts", is_flag=True, help="Take over fields that somebody edited on objects that pvserve made."
)
load_options = _all([*_NEW_CLAIM, *_BYTES])
serve_options = _all(
    [
        _FILE,
        *_VALUES,
        _FROM,
        *_RUNTIME,
        click.option("--claim", help="Claim that holds the model."),
        click.option("--path", help="Directory on the claim."),
        _IN_PLACE,
        _TIMEOUT,
    ]
)
change_options = _all(
    [
        click.option("--dry-run", is_flag=True, help="Only show the plan."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
    ]
)
request_options = _all(
    [
        click.option("--request-path", help="Path of the inference request of the proof, as /v1/completions."),
        click.option("--request", "request_body", help="Body (JSON) of the inference request of the proof."),
        click.option(
            "--token-file",
            metavar="FILE",
            help="Token for an endpoint that wants one, '-' reads stdin; default: one of account NAME-sa.",
        ),
    ]
)


def confirm(question: str, *, yes: bool) -> None:
    """Asks on a terminal; without one the answer must have been given by -y.

    Raises UsageError naming the flag where nobody can be asked, Interrupted when the answer is no.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "NeedsYes",
            "this changes the cluster and there is no terminal to ask on",
            remedy=("add -y to carry it out, or --dry-run to see the plan only",),
        )
    if not click.confirm(question, err=True):
        raise Interrupted("NotConfirmed", "nothing was changed")
