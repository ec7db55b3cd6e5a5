"""Loads a model onto a claim, as a component of Kubeflow Pipelines. Rendered by pvserve.

    task = load_model().set_caching_options(False)
    kubernetes.mount_pvc(task, 'vllm-model-cache', '/claim')
    kubernetes.mount_pvc(task, 'workbench', '/source')

The program below is packed; to read it: base64 -d | bunzip2.
"""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image='vllm:1')
def load_model(
    model: dsl.Output[dsl.Model],
    source: str = '/source/models/granite',
    within: str = '/source',
    source_name: str = 'pvc://workbench/models/granite',
    claim: str = 'vllm-model-cache',
    claim_mount: str = '/claim',
    path: str = 'granite-7b-lab',
    arguments: list = ['--exclude', 'original/*', '--expect', 'sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee'],
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
PROGRAM
"""
    words = ["load", "--from", source, "--within", within, "--source-name", source_name]
    words += ["--to", path, "--mount", claim_mount, "--claim", claim, *arguments]
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
    digest = told["digest"]
    model.uri = told["uri"]
    model.metadata.update({"digest": digest, "bytes": told["bytes"]})
    return (told["uri"], digest, told["bytes"])
