"""The load as a Python component of kfp, for pipelines and notebooks that put it beside components of their own.

Owns the text of that file. It holds the load step's program, since a component is one function with all it needs.
"""

from __future__ import annotations

from pvserve.plan.load_step import step_arguments
from pvserve.plan.loader import MOUNT, SOURCE
from pvserve.plan.steps import Load
from pvserve.transfer.program import PACKED, step_files

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
    source: str = @SOURCE@,
    within: str = @WITHIN@,
    source_name: str = @SOURCE_NAME@,
    claim: str = @CLAIM@,
    claim_mount: str = @CLAIM_MOUNT@,
    path: str = @PATH@,
    arguments: list = @ARGUMENTS@,
) -> NamedTuple("Loaded", [("uri", str), ("digest", str), ("bytes", int)]):
    """Loads the directory `source`, whose links may lead to all of `within`, to `path` on `claim`.

    Both claims are mounted in the task. Nothing is visible at the path until all is there and read back.
    """
    import base64
    import bz2
    import json
    import subprocess
    import sys
    import tempfile

    program = """
@PROGRAM@"""
    words = ["load", "--from", source, "--within", within, "--source-name", source_name]
    words += ["--to", path, "--mount", claim_mount, "--claim", claim, *arguments]
    with tempfile.NamedTemporaryFile(suffix=".py") as file:
        file.write(bz2.decompress(base64.b64decode(program)))
        file.flush()
        command = [sys.executable, "-X", "utf8", "-I", "-S", file.name, *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout)
    if "error" in told:
        error = told["error"]
        raise RuntimeError(" ".join([f"{error['reason']}: {error['message']}", *error["remedy"]]))
    model.uri = told["uri"]
    model.metadata.update({"digest": told["digest"], "bytes": told["bytes"]})
    return (told["uri"], told["digest"], told["bytes"])
'''


def component(load: Load, image: str, within: str) -> str:
    """The file's text; `within` is where the task mounts the source's claim."""
    claims = {load.claim: MOUNT, **({load.source_claim: SOURCE} if within == SOURCE else {})}
    mounts = [f"    kubernetes.mount_pvc(task, {claim!r}, {mount!r})" for claim, mount in claims.items()]
    words = step_arguments(load, source=within)
    given = {
        "MOUNTS": "\n".join(mounts),
        "IMAGE": repr(image),
        "SOURCE": repr(words[words.index("--from") + 1]),
        "WITHIN": repr(within),
        "SOURCE_NAME": repr(load.source),
        "CLAIM": repr(load.claim),
        "CLAIM_MOUNT": repr(MOUNT),
        "PATH": repr(load.path),
        "ARGUMENTS": repr(words[words.index("--claim") + 2 :]),
        "PROGRAM": step_files()[PACKED],
    }
    text = _FILE
    for word, value in given.items():
        text = text.replace(f"@{word}@", value)
    return text
