"""A model directory: its files, their digests, its manifest, and whether its weights are whole.

Owns reading a directory of this machine and the manifest's format. Must not know Kubernetes, nor change a file
other than its own digest cache.
"""

from pvserve.model.contain import inside, safe_relative, shown
from pvserve.model.digests import DigestCache, full_manifest, hash_file, known_manifest
from pvserve.model.filters import DEFAULT_LEFT_OUT
from pvserve.model.format import from_json, from_sha256sums, to_json, to_sha256sums
from pvserve.model.listing import Listing, listing
from pvserve.model.manifest import Difference, Entry, Manifest, compare, manifest_digest
from pvserve.model.walk import Found
from pvserve.model.weights import Problem, check_weights, refusal

__all__ = [
    "DEFAULT_LEFT_OUT",
    "Difference",
    "DigestCache",
    "Entry",
    "Found",
    "Listing",
    "Manifest",
    "Problem",
    "check_weights",
    "compare",
    "from_json",
    "from_sha256sums",
    "full_manifest",
    "hash_file",
    "inside",
    "known_manifest",
    "listing",
    "manifest_digest",
    "refusal",
    "safe_relative",
    "shown",
    "to_json",
    "to_sha256sums",
]
