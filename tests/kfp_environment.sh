#!/usr/bin/env bash
# The tests of rendered pipelines with kfp, in an environment of its own: kfp holds many of its dependencies back.
# It is made once per requirements file.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=.venvs/kfp
if ! cmp -s requirements/kfp.txt "$environment/requirements.txt"; then
  rm -rf "$environment"
  "${PYTHON:-python3}" -m venv "$environment"
  "$environment/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements/kfp.txt
  cp requirements/kfp.txt "$environment/requirements.txt"
fi
PYTHONPATH=src "$environment/bin/python" -m pytest -W ignore "$@" tests/kfp
