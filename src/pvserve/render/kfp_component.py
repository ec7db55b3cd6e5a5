"""The load as a Python component of kfp, for pipelines and notebooks that put it beside components of their own.

Owns the text of that file. It holds the program that loads, since a component is one function with all it needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pvserve.plan.load_step import step_arguments
from pvserve.plan.loader import MOUNT, SOURCE
from pvserve.plan.steps import Load, LoadJob
from pvserve.transfer.program import PACKED, fetch_files, step_files

_FILE = '''\
"""Loads a model onto a claim, as a component of Kubeflow Pipelines. Rendered by pvserve.

    task = load_model().set_caching_options(False)
@MOUNTS@

The program below is packed; to read it: base64 -d | bunzip2.
"""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image=@IMAGE@)
def load_model(
    model: dsl.Output[dsl.Model],
@PARAMETERS@
) -> NamedTuple("Loaded", [("uri", str), ("digest", str), ("bytes", int)]):
    """@WORDS@"""
    import base64
    import bz2
    import json
    import subprocess
    import sys
    import tempfile

    program = """
@PROGRAM@"""
@ARGUMENTS@
    told = {}
    with tempfile.NamedTemporaryFile(suffix=".py") as file:
        file.write(bz2.decompress(base64.b64decode(program)))
        file.flush()
        command = [sys.executable, "-X", "utf8", "-I", "-S", file.name, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            for line in running.stdout:
                print(line, end="", flush=True)
                told = json.loads(line)
    if running.returncode or "uri" not in told:
        error = {"reason": "Ended", "message": f"exit code {running.returncode}", **told.get("error", told)}
        raise RuntimeError(" ".join([f"{error['reason']}: {error['message']}", *error.get("remedy", [])]))
    digest = told[@DIGEST@]
    model.uri = told["uri"]
    model.metadata.update({"digest": digest, "bytes": told["bytes"]})
    return (told["uri"], digest, told["bytes"])
'''

_COPIES = """\
Loads the directory `source`, whose links may lead to all of `within`, to `path` on `claim`.

    Both claims are mounted in the task. Nothing is visible at the path until all is there and read back.
    """
_COPY_ARGUMENTS = """\
    words = ["load", "--from", source, "--within", within, "--source-name", source_name]
    words += ["--to", path, "--mount", claim_mount, "--claim", claim, *arguments]"""
_FETCHES = """\
Fetches what `order` says, a JSON object (pvserve's docs/sources.md), to the claim that it names, which the task mounts.

    Nothing is visible at the path until all is there and read back, and nothing of a source that has changed since.
    """
_FETCH_ARGUMENTS = """\
    words = ["load", order]"""


def component(step: Load | LoadJob, pod: Mapping[str, Any], within: str) -> str:
    """The file's text; `pod` is the spec that a pipeline runs, `within` where its task mounts the source's claim."""
    image = str(pod["containers"][0]["image"])
    if isinstance(step, LoadJob):
        # As text: a backend makes numbers of a mapping to fractions.
        order = json.dumps({**step.order, "epoch": 0}, sort_keys=True)
        given = {
            "PARAMETERS": f"    order: str = {order!r},",
            "WORDS": _FETCHES,
            "ARGUMENTS": _FETCH_ARGUMENTS,
            "DIGEST": '"manifest"',
            "PROGRAM": fetch_files()[PACKED],
        }
        return _filled({"MOUNTS": _mounts(step.claim, _fetch_mounts(pod)), "IMAGE": repr(image), **given})
    source = [f"    kubernetes.mount_pvc(task, {step.source_claim!r}, {SOURCE!r})"] if within == SOURCE else []
    given = {
        "PARAMETERS": _copy_parameters(step, within),
        "WORDS": _COPIES,
        "ARGUMENTS": _COPY_ARGUMENTS,
        "DIGEST": '"digest"',
        "PROGRAM": step_files()[PACKED],
    }
    return _filled({"MOUNTS": _mounts(step.claim, source), "IMAGE": repr(image), **given})


def _copy_parameters(load: Load, within: str) -> str:
    words = step_arguments(load, source=within)
    parameters = {
        "source": words[words.index("--from") + 1],
        "within": within,
        "source_name": load.source,
        "claim": load.claim,
        "claim_mount": MOUNT,
        "path": load.path,
    }
    lines = [f"    {name}: str = {value!r}," for name, value in parameters.items()]
    return "\n".join([*lines, f"    arguments: list = {words[words.index('--claim') + 2 :]!r},"])


def _mounts(claim: str, others: Sequence[str]) -> str:
    return "\n".join([f"    kubernetes.mount_pvc(task, {claim!r}, {MOUNT!r})", *others])


def _fetch_mounts(pod: Mapping[str, Any]) -> list[str]:
    """Credentials and CAs, by reference."""
    mounts = {mount["name"]: str(mount["mountPath"]) for mount in pod["containers"][0]["volumeMounts"]}
    lines = []
    for volume in pod["volumes"]:
        for kind, word, key in (("secret", "secret", "secretName"), ("configMap", "config_map", "name")):
            if kind in volume and volume["name"] in ("ca", "connection"):
                called = f"{volume[kind][key]!r}, {mounts[volume['name']]!r}"
                optional = ", optional=True" if volume[kind].get("optional") else ""
                lines.append(f"    kubernetes.use_{word}_as_volume(task, {called}{optional})")
    return lines


def _filled(given: Mapping[str, str]) -> str:
    text = _FILE
    for word, value in given.items():
        text = text.replace(f"@{word}@", value)
    return text
