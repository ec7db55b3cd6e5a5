"""Contents of model directories for these tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

Tree = Callable[[Mapping[str, bytes | str]], Path]


def safetensors_bytes(
    tensors: Mapping[str, tuple[str, list[int], int]], metadata: dict[str, str] | None = None
) -> bytes:
    """A whole file: name -> (dtype, shape, bytes)."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    offset = 0
    for name, (kind, shape, size) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return with_header(header, offset)


def with_header(header: object, data: int) -> bytes:
    """A file with this header, whatever it says, and `data` bytes of tensors."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(data)


def gguf_bytes(
    tensors: Mapping[str, tuple[list[int], int, int]], pairs: bytes = b"", count: int = 0, order: str = "<"
) -> bytes:
    """A whole GGUF file of version 3: name -> (shape, type, bytes); `pairs` is metadata of `count` pairs."""
    out = b"GGUF" + struct.pack(order + "IQQ", 3, len(tensors), count) + pairs
    offset = 0
    for name, (shape, kind, size) in tensors.items():
        out += text(name, order) + struct.pack(f"{order}I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        offset += -(-size // 32) * 32
    return out + bytes(-len(out) % 32) + bytes(offset)


def text(content: str, order: str = "<") -> bytes:
    """A GGUF string."""
    raw = content.encode()
    return struct.pack(order + "Q", len(raw)) + raw
