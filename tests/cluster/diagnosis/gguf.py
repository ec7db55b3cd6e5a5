"""The smallest files that llama.cpp takes for a model, or refuses for one reason. Bytes only.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct

STRING, UINT32, F32 = 8, 4, 0


def promising() -> bytes:
    """A well-formed header that names a tensor, and none of the tensor's bytes: a model cut off while copied."""
    values = _key("general.architecture", STRING, _string("llama")) + _key("general.alignment", UINT32, _u32(32))
    tensor = _string("token_embd.weight") + _u32(2) + _u64(64) + _u64(512) + _u32(F32) + _u64(0)
    return b"GGUF" + _u32(3) + _u64(1) + _u64(2) + values + tensor


def cut() -> bytes:
    """The same, cut within its header."""
    return promising()[:60]


def not_gguf() -> bytes:
    """A PyTorch archive under a name that ends in .gguf."""
    return b"PK\x03\x04" + bytes(4096)


def _string(text: str) -> bytes:
    return _u64(len(text)) + text.encode()


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _string(name) + _u32(kind) + value


def _u32(number: int) -> bytes:
    return struct.pack("<I", number)


def _u64(number: int) -> bytes:
    return struct.pack("<Q", number)
