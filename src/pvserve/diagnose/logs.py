"""What the last lines of a model server that died mean.

Owns the patterns, taken from servers' real output. A line that matches none means nothing: it is only shown.
Sources: llama.cpp (src/llama-model-loader.cpp, ggml/src/gguf.cpp), safetensors (SafetensorError), vLLM and
transformers (config.json look-up), MLServer (mlserver-sklearn, joblib), PyTorch, huggingface_hub, libc strerror.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SHOWN_LINES = 10

# In causal order within one log: the first that matches anywhere decides.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("GpuMemory", re.compile(r"CUDA out of memory|No available memory for the cache blocks|HIP out of memory", re.I)),
    (
        "ModelUnreadable",
        re.compile(r"(?=.*(Permission denied|PermissionError))(?=.*(/mnt/|model|\.gguf|\.safetensors))"),
    ),
    ("ModelReadOnly", re.compile(r"Read-only file system", re.I)),
    (
        "ModelCorrupt",
        re.compile(
            r"tensor '[^']*' data is not within the file bounds|model is corrupted or incomplete"
            r"|SafetensorError|invalid header|HeaderTooLarge|MetadataIncompleteBuffer|InvalidHeaderDeserialization"
            r"|gguf_init_from_file\S*: (failed to read|unexpectedly reached the end)|failed to read (tensor|key-value)"
            r"|failed to seek to beginning of data section"
            r"|unexpectedly reached end of file|PytorchStreamReader failed|UnpicklingError|pickle data was truncated"
            r"|EOFError|zlib\.error|invalid load key|JSONDecodeError",
            re.I,
        ),
    ),
    (
        "ModelNotForRuntime",
        re.compile(
            r"invalid magic characters?|unknown model architecture|is not supported for now"
            r"|Model architectures? .* (are|is) not supported|does not recognize this architecture"
            r"|Unrecognized model in|Should have a `?model_type`? key|unknown \(model\) architecture",
            re.I,
        ),
    ),
    (
        "ModelMissing",
        re.compile(
            r"No such file or directory|\bno \S*\.(gguf|safetensors|bin|joblib)\b.{0,20}\b(in|under|at|below)\b"
            r"|does not appear to have a file named config\.json"
            r"|Cannot find any model weights|FileNotFoundError|InvalidModelURI|no model file|found no model"
            r"|No supported config format found|Invalid repository ID or local directory specified",
            re.I,
        ),
    ),
    (
        "PhonesHome",
        re.compile(
            r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to 'https?://huggingface|huggingface\.co.*"
            r"(Max retries|resolve)|Name or service not known|Temporary failure in name resolution",
            re.I,
        ),
    ),
)


def meaning_of(log: str) -> tuple[str, str] | None:
    """(code, the line that says so), None where no line is known."""
    lines = log.splitlines()
    for code, pattern in PATTERNS:
        for line in reversed(lines):
            if pattern.search(line):
                return code, line.strip()
    return None


def last_lines(log: str, count: int = SHOWN_LINES) -> Iterator[str]:
    """The last lines that are not empty."""
    yield from [line.rstrip() for line in log.splitlines() if line.strip()][-count:]
