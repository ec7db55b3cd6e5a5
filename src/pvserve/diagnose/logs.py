"""What the last lines of a model server that died mean.

Owns the patterns, taken from servers' real output (tests/unit/diagnose/logs). A log that matches none means nothing:
it is only shown. Each pattern must name the model or be said by a loader of models only, so that a missing library or
a wrong argument is not called a missing or corrupt model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SHOWN_LINES = 10
_FILE = r"/mnt/(?:models|pvc)|\.(?:gguf|safetensors|joblib|bin|pt|onnx|pkl)\b"

# In causal order within one log: the first that matches anywhere decides.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    # PyTorch; vLLM v1/core/kv_cache_utils.py
    ("GpuMemory", re.compile(r"(?:CUDA|HIP) out of memory|No available memory for the cache blocks", re.I)),
    # strerror(EACCES), by whatever server
    ("ModelUnreadable", re.compile(rf"(?=.*(?:Permission denied))(?=.*(?:{_FILE})).*")),
    ("ModelReadOnly", re.compile(r"Read-only file system")),  # strerror(EROFS)
    (
        "ModelCorrupt",
        re.compile(
            # llama.cpp src/llama-model-loader.h, ggml/src/gguf.cpp
            r"data is not within the file bounds|gguf_init_from_\w+: (?:failed to (?:read|seek)|unexpectedly)"
            # safetensors src/tensor.rs, as Python shows it
            r"|SafetensorError|MetadataIncompleteBuffer|HeaderTooLarge|HeaderTooSmall|InvalidHeaderDeserialization"
            # PyTorch's and Python's pickles, joblib
            r"|PytorchStreamReader failed|UnpicklingError|pickle data was truncated|pickle\.py.*\n(?:.*\n)?.*EOFError"
            r"|(?:numpy_pickle|pickle)\.py.*\n(?:.*\n){0,6}(?:KeyError|IndexError|ValueError|zlib\.error|lzma\.LZMAError)",
        ),
    ),
    (
        "ModelNotForRuntime",
        re.compile(
            # ggml/src/gguf.cpp, llama.cpp src/llama-model.cpp
            r"gguf_init_from_\w+: invalid magic|unknown model architecture"
            # vLLM model_executor/models/registry.py; transformers models/auto
            r"|Model architectures .* are not supported|does not recognize this architecture"
            r"|Unrecognized model in|Should have a `?model_type`? key",
        ),
    ),
    (
        "ModelMissing",
        re.compile(
            rf"(?=.*No such file or directory)(?=.*(?:{_FILE})).*"  # strerror(ENOENT)
            # vLLM transformers_utils/config.py, model_loader/default_loader.py; transformers utils/hub.py
            r"|Invalid repository ID or local directory specified: '/mnt/models"
            r"|No supported config format found in /mnt/models"
            r"|Cannot find any model weights with|does not appear to have a file named config\.json"
            # MLServer utils.py: no such directory; sklearn.py: a directory without one of its file names
            r"|InvalidModelURI|IsADirectoryError.*'/mnt/models|no \.gguf file below",
        ),
    ),
    (
        "PhonesHome",
        re.compile(
            r"LocalEntryNotFoundError|OfflineModeIsEnabled|couldn't connect to 'https://huggingface\.co"
            r"|Max retries exceeded with url|Temporary failure in name resolution|Name or service not known",
        ),
    ),
)


def meaning_of(log: str) -> tuple[str, str] | None:
    """(code, the line that says so), None where no pattern is known."""
    for code, pattern in PATTERNS:
        found = list(pattern.finditer(log))
        if found:
            end = found[-1].end()
            start = log.rfind("\n", 0, end) + 1
            return code, log[start:].split("\n", 1)[0].strip()
    return None


def last_lines(log: str, count: int = SHOWN_LINES) -> Iterator[str]:
    """The last lines that are not empty."""
    yield from [line.rstrip() for line in log.splitlines() if line.strip()][-count:]
