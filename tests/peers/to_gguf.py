#!/usr/bin/env python3
"""Write the shipped model as GGUF, for llama.cpp: the same bfloat16 weights in its names and order.

  to_gguf.py MODEL OUT.gguf

For qwen3_moe in one safetensors file with a byte-level BPE whose pre-tokenizer is Qwen2's, which llama.cpp knows
by name; anything else is refused. Norms and routers become F32, as llama.cpp wants them.
"""
import array
import json
import os
import struct
import sys

ALIGNMENT = 32
F32, BF16 = 0, 30  # tensor types
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9  # value types
FILE_TYPE_BF16 = 32
TOKEN_NORMAL, TOKEN_CONTROL = 1, 3
# llama.cpp has this expression built in, as the pre-tokenizer "qwen2"
QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")

LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate": "ffn_gate_inp",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
}
OTHER_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
EXPERT_NAMES = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps"}


def read_json(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


# ---- weights ----

def read_tensors(path):
    """name -> (shape, bytes), all bfloat16."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        head, data = json.loads(file.read(size)), file.read()
    head.pop("__metadata__", None)
    if {t["dtype"] for t in head.values()} != {"BF16"}:
        sys.exit("to_gguf: the weights are not bfloat16")
    return {name: (t["shape"], data[slice(*t["data_offsets"])]) for name, t in head.items()}


def widen(data):
    """bfloat16 is the upper half of a float32."""
    halves = array.array("H", data)
    return array.array("I", (h << 16 for h in halves)).tobytes()


def tensor(name, shape, data):
    wide = "norm" in name or "ffn_gate_inp" in name
    return (f"{name}.weight", shape, F32 if wide else BF16, widen(data) if wide else data)


def experts(tensors, layer, count, ours, theirs):
    """The experts of a layer are one tensor, one after the other."""
    parts = [tensors[f"model.layers.{layer}.mlp.experts.{e}.{ours}.weight"] for e in range(count)]
    return tensor(f"blk.{layer}.{theirs}", [count, *parts[0][0]], b"".join(data for _, data in parts))


def convert(tensors, config):
    for ours, theirs in OTHER_NAMES.items():
        yield tensor(theirs, *tensors[f"{ours}.weight"])
    for layer in range(config["num_hidden_layers"]):
        for ours, theirs in LAYER_NAMES.items():
            yield tensor(f"blk.{layer}.{theirs}", *tensors[f"model.layers.{layer}.{ours}.weight"])
        for ours, theirs in EXPERT_NAMES.items():
            yield experts(tensors, layer, config["num_experts"], ours, theirs)


# ---- what the file says of itself ----

def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, what):
    if kind == STRING:
        return text(what)
    return struct.pack({U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}[kind], what)


def pair(key, kind, what):
    if isinstance(what, list):
        body = struct.pack("<IIQ", ARRAY, kind, len(what)) + b"".join(value(kind, v) for v in what)
    else:
        body = struct.pack("<I", kind) + value(kind, what)
    return text(key) + body


def shape_pairs(c):
    counts = {"block_count": "num_hidden_layers", "context_length": "max_position_embeddings",
              "embedding_length": "hidden_size", "feed_forward_length": "intermediate_size",
              "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads",
              "attention.key_length": "head_dim", "attention.value_length": "head_dim", "expert_count": "num_experts",
              "expert_used_count": "num_experts_per_tok", "expert_feed_forward_length": "moe_intermediate_size"}
    yield pair("general.architecture", STRING, "qwen3moe")
    yield pair("general.name", STRING, "moecap-tiny")
    yield pair("general.file_type", U32, FILE_TYPE_BF16)
    for theirs, ours in counts.items():
        yield pair(f"qwen3moe.{theirs}", U32, c[ours])
    yield pair("qwen3moe.rope.freq_base", FLOAT, c["rope_theta"])
    yield pair("qwen3moe.attention.layer_norm_rms_epsilon", FLOAT, c["rms_norm_eps"])


def split_of(tokenizer):
    parts = tokenizer["pre_tokenizer"].get("pretokenizers", [])
    return next((p["pattern"].get("Regex") for p in parts if p["type"] == "Split"), None)


def vocabulary_pairs(tokenizer, settings, config):
    if split_of(tokenizer) != QWEN2_SPLIT or tokenizer["model"]["type"] != "BPE":
        sys.exit("to_gguf: llama.cpp has no name for this tokenizer")
    words = {i: (w, TOKEN_NORMAL) for w, i in tokenizer["model"]["vocab"].items()}
    words.update({t["id"]: (t["content"], TOKEN_CONTROL) for t in tokenizer["added_tokens"]})
    if sorted(words) != list(range(config["vocab_size"])):
        sys.exit("to_gguf: the vocabulary has holes")
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    yield pair("tokenizer.ggml.model", STRING, "gpt2")
    yield pair("tokenizer.ggml.pre", STRING, "qwen2")
    yield pair("tokenizer.ggml.tokens", STRING, [words[i][0] for i in range(len(words))])
    yield pair("tokenizer.ggml.token_type", I32, [words[i][1] for i in range(len(words))])
    yield pair("tokenizer.ggml.merges", STRING, merges)
    yield pair("tokenizer.ggml.eos_token_id", U32, config["eos_token_id"])
    yield pair("tokenizer.ggml.padding_token_id", U32, config["pad_token_id"])
    yield pair("tokenizer.ggml.add_bos_token", BOOL, False)
    yield pair("tokenizer.chat_template", STRING, settings["chat_template"])


# ---- the file ----

def pad(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def infos(tensors):
    offset = 0
    for name, shape, kind, data in tensors:
        yield (text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
               + struct.pack("<IQ", kind, offset))
        offset += len(pad(data))


def main():
    folder, out = sys.argv[1:]
    config = read_json(folder, "config.json")
    if config["model_type"] != "qwen3_moe" or config["tie_word_embeddings"]:
        sys.exit("to_gguf: only qwen3_moe with an output matrix of its own")
    tensors = list(convert(read_tensors(os.path.join(folder, "model.safetensors")), config))
    pairs = [*shape_pairs(config), *vocabulary_pairs(read_json(folder, "tokenizer.json"),
                                                     read_json(folder, "tokenizer_config.json"), config)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(infos(tensors))
    with open(out, "wb") as file:
        file.write(pad(head))
        for _, _, _, data in tensors:
            file.write(pad(data))


main()
