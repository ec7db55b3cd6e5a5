#!/usr/bin/env bash
# The tests of the cluster room with the oldest, the Open Data Hub and the newest Kubernetes client.
# Each but the newest (.venv) has an environment of its own, made once per requirements file.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${KUBECONFIG:?names no cluster; see make test-clients}"
: "${ONCE_MORE:=}"  # what pytest is told about tests that fail
export PVSERVE_REQUIRE=cluster
python=${PYTHON:-python3}

tests() {
  local environment=$1
  echo "== Kubernetes client $("$environment/bin/python" -c 'from importlib.metadata import version; print(version("kubernetes"))')"
  PYTHONPATH=src "$environment/bin/python" -m pytest -n 2 --dist loadfile \
    -m "" -W "ignore::DeprecationWarning:kubernetes" $ONCE_MORE tests/unit/cluster tests/cluster/test_room_*.py
}

for client in 30 36; do
  environment=.venvs/client-$client
  requirements=requirements/client-$client.txt
  if ! cmp -s "$requirements" "$environment/requirements.txt"; then
    rm -rf "$environment"
    "$python" -m venv "$environment"
    "$environment/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$requirements"
    cp "$requirements" "$environment/requirements.txt"
  fi
  tests "$environment"
done
tests .venv
