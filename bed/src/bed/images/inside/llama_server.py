#!/usr/bin/python3
"""llama.cpp's own HTTP server (OpenAI API, /health, /metrics), from the xllamacpp wheel, which brings no command."""

import argparse
import os
import signal
import sys
from pathlib import Path

import xllamacpp

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model_name", "--model-name", default="model", help="the name clients ask for")
parser.add_argument("--model_dir", "--model-dir", type=Path, default=Path("/mnt/models"), help="holds a .gguf file")
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("--ctx", type=int, default=256, help="context length in tokens")
parser.add_argument("--threads", type=int, default=1, help="more only wait for each other with a tiny model")


def main() -> None:
    given = parser.parse_args()
    models = sorted(given.model_dir.rglob("*.gguf"))  # of a split model the first file names the others
    if not models:
        sys.exit(f"llama-server: no .gguf file below {given.model_dir}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})  # the server's threads inherit it
    try:
        server = xllamacpp.Server(settings(given, models[0]))
    except RuntimeError:
        sys.exit(f"llama-server: cannot serve {models[0]}; the lines above, llama.cpp's own, say why")
    print(f"serving {models[0]} as {given.model_name} at {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)  # nothing to save; a request in flight must not delay the pod's end


def settings(given: argparse.Namespace, model: Path) -> "xllamacpp.CommonParams":
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {given.model_name}
    params.hostnames, params.port = ["0.0.0.0"], given.port  # noqa: S104  the pod's address
    params.n_ctx, params.n_parallel = given.ctx, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given.threads
    params.endpoint_metrics, params.offline, params.ui = True, True, False
    return params


if __name__ == "__main__":
    main()
