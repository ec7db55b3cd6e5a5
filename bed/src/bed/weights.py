"""Writes small models with the field's own libraries: `python weights.py gguf|llama|gguf-43m|llama-43m|iris DIRECTORY`.

Run by bed.models with the wheels it needs on PYTHONPATH; imports nothing of ours. The weights are random but always the
same, and the GGUF file and the safetensors directory hold the same llama.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

Weights = dict[str, np.ndarray[Any, np.dtype[np.float32]]]

VOCABULARY, CONTEXT = 384, 256


@dataclass(frozen=True)
class Llama:
    """The shape of a llama's weights."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int


TINY = Llama("tiny-llama", hidden=64, inner=128, layers=2, heads=2)  # 0.5 MB: fits a ConfigMap
SMALL = Llama("small-llama", hidden=1024, inner=2048, layers=4, heads=16)  # 171 MB: a copy of it can be seen

NORM_EPSILON = 1e-5
SPECIAL = ("<pad>", "<s>", "</s>")
CHAT_TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
TEXT = (
    "A model server loads weights from a directory and answers requests.",
    "Storage, network and compute are what a cluster gives to its models.",
    "A claim is bound to a volume; a volume outlives the pods that mount it.",
    "Hello world, how are you today? I am fine, thank you. The quick brown fox jumps over the lazy dog.",
)
HIDDEN, INNER, NONE = "hidden", "inner", ""
# Hugging Face's name of a layer's weight: llama.cpp's name, rows, columns
LAYER = {
    "self_attn.q_proj": ("attn_q", HIDDEN, HIDDEN),
    "self_attn.k_proj": ("attn_k", HIDDEN, HIDDEN),
    "self_attn.v_proj": ("attn_v", HIDDEN, HIDDEN),
    "self_attn.o_proj": ("attn_output", HIDDEN, HIDDEN),
    "mlp.gate_proj": ("ffn_gate", INNER, HIDDEN),
    "mlp.up_proj": ("ffn_up", INNER, HIDDEN),
    "mlp.down_proj": ("ffn_down", HIDDEN, INNER),
    "input_layernorm": ("attn_norm", HIDDEN, NONE),
    "post_attention_layernorm": ("ffn_norm", HIDDEN, NONE),
}


def write_llama(directory: Path, shape: Llama) -> None:
    """Write the llama as Hugging Face directories are: config, tokenizer, safetensors in two files with an index."""
    from safetensors.numpy import save_file

    weights = llama_weights(shape)
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    place = {name: files[0 if name.startswith("model.layers.0.") else 1] for name in weights}
    for file in files:
        part = {name: weights[name] for name in weights if place[name] == file}
        save_file(part, directory / file, metadata={"format": "pt"})
    total = sum(weight.nbytes for weight in weights.values())
    _write_json(directory / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": place})
    tokenizer().save(str(directory / "tokenizer.json"))
    tokens = {"pad_token": SPECIAL[0], "bos_token": SPECIAL[1], "eos_token": SPECIAL[2]}
    _write_json(directory / "special_tokens_map.json", tokens)
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT, "chat_template": CHAT_TEMPLATE}
    _write_json(directory / "tokenizer_config.json", kind | tokens)
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    _write_json(directory / "generation_config.json", ids)
    _write_json(directory / "config.json", _llama_config(shape) | ids)


def write_gguf(directory: Path, shape: Llama) -> None:
    """Write the same llama as one GGUF file."""
    import gguf

    writer = gguf.GGUFWriter(directory / f"{shape.name}.gguf", "llama")
    writer.add_name(shape.name)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)
    writer.add_layer_norm_rms_eps(NORM_EPSILON)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokenizer(writer)
    for name, weight in llama_weights(shape).items():
        writer.add_tensor(_gguf_name(name), _gguf_rows(weight, shape) if name.endswith(_ROTATED) else weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_iris(directory: Path) -> None:
    """Write a scikit-learn classifier of the iris flowers as MLServer reads it."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), directory / "model.joblib")


def llama_weights(shape: Llama) -> Weights:
    """Return the llama's weights under Hugging Face's names."""
    random = np.random.default_rng(0)
    return {
        name: (random.standard_normal((rows, columns)) * 0.02 if columns else np.ones(rows)).astype(np.float32)
        for name, rows, columns in _shapes(shape)
    }


def tokenizer() -> Tokenizer:
    """Return a byte-pair tokenizer trained on TEXT."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=sorted(alphabet), show_progress=False
    )
    made.train_from_iterator(TEXT * 4, trainer)
    if made.get_vocab_size() != VOCABULARY:
        raise SystemExit(f"the tokenizer has {made.get_vocab_size()} tokens, not {VOCABULARY}: TEXT is too short")
    return made


def _shapes(shape: Llama) -> Iterator[tuple[str, int, int]]:
    """Name, rows and columns of each weight; no columns for a vector."""
    size = {HIDDEN: shape.hidden, INNER: shape.inner, NONE: 0}
    yield "model.embed_tokens.weight", VOCABULARY, shape.hidden
    for layer in range(shape.layers):
        for name, (_, rows, columns) in LAYER.items():
            yield f"model.layers.{layer}.{name}.weight", size[rows], size[columns]
    yield "model.norm.weight", shape.hidden, 0
    yield "lm_head.weight", VOCABULARY, shape.hidden


def _llama_config(shape: Llama) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float32",
        "vocab_size": VOCABULARY,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.hidden // shape.heads,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    }


def _add_tokenizer(writer: Any) -> None:
    model = json.loads(tokenizer().to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")  # llama.cpp's word for byte-level byte pairs
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])  # control, normal
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]])
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)


_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_ROTATED = ("q_proj.weight", "k_proj.weight")


def _gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in _TOP:
        return f"{_TOP[stem]}.weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{LAYER[rest][0]}.weight"


def _gguf_rows(weight: Any, shape: Llama) -> Any:
    """Order the rows for llama.cpp, which rotates neighbouring pairs where Hugging Face rotates halves of a head."""
    halves = weight.reshape(shape.heads, 2, shape.hidden // shape.heads // 2, shape.hidden)
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def main() -> None:
    kind, directory = sys.argv[1], Path(sys.argv[2])
    if kind == "iris":
        write_iris(directory)
        return
    form, _, size = kind.partition("-")
    {"llama": write_llama, "gguf": write_gguf}[form](directory, SMALL if size else TINY)


if __name__ == "__main__":
    main()
