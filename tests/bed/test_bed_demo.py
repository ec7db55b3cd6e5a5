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
    (name,) = set(re.findall(r"namespace/(demo-\w+) created", done.stdout))
    assert "NotFound" in Kubectl("default")("get", "namespace", name, check=False)
    assert name not in Kubectl("default")("get", "persistentvolumes", "-o", "jsonpath={.items[*].spec.claimRef}")
    assert not (settings().home / "s3" / name).exists()
