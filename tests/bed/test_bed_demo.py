"""The demo as `make demo` runs it: a model moves from S3 to a claim, and nothing stays behind."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from bed.settings import settings

from .kubectl import Kubectl

pytestmark = pytest.mark.bed


def test_the_demo_ends_well_and_cleans_up_after_itself(bed_is_up: None) -> None:
    done = subprocess.run([sys.executable, "-m", "bed.demo"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^init containers +storage-initializer +none$", done.stdout, re.M)
    assert re.search(r"^S3 reads for it +[1-9]\d* +0$", done.stdout, re.M)
    read = re.search(r"^bytes read from S3 +([\d,.]+) MB +0\.\d MB$", done.stdout, re.M)
    written = re.search(r"^bytes written to the node's disk +([\d,.]+) MB +0\.\d MB$", done.stdout, re.M)
    assert read, done.stdout
    assert written, done.stdout
    assert (
        min(float(found[1].replace(",", "")) for found in (read, written)) >= 340
    )  # twice 171 MB, as the table rounds it
    assert re.search(r"^seconds to Ready +\d+ s +\d+ s$", done.stdout, re.M)
    (name,) = set(re.findall(r"namespace/(demo-\w+) created", done.stdout))
    assert "NotFound" in Kubectl("default")("get", "namespace", name, check=False)
    assert name not in Kubectl("default")("get", "persistentvolumes", "-o", "jsonpath={.items[*].spec.claimRef}")
    assert not (settings().home / "s3" / name).exists()
