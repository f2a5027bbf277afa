#!/usr/bin/python3
"""Every key of qwen3_moe's config.json, one checkpoint each: `moecap-inference model forward` against
the float64 reference forward pass. The checkpoints are made from a golden one. Needs numpy and the
shared folder (MOECAP_SHARED); skips aloud without them."""
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
SHARED = os.environ.get("MOECAP_SHARED", os.path.join(ROOT, "../shared"))
PROGRAM = os.path.join(os.environ.get("MOECAP_BIN_DIR", ROOT + "/build/dev/bin"), "moecap-inference")
GOLDEN = os.path.join(SHARED, "data/golden/qwen3_moe_f32")
TOLERANCE = 1e-4  # of the logits' standard deviation; f32 arithmetic gives about 2e-6

sys.path.insert(0, os.path.join(SHARED, "tools"))
try:
    import numpy as np
    import ref_forward
    import st_io
except ImportError as why:
    print(f"skip: {why}; set MOECAP_SHARED and install python3-numpy")
    sys.exit(77)

EXPERTS, HIDDEN, DENSE = 4, 64, 96
rng = np.random.default_rng(3)
LONG = [int(t) for t in rng.integers(0, 128, 90)]
config = json.load(open(GOLDEN + "/config.json"))
reader = st_io.Reader(GOLDEN)
names = json.loads(open(GOLDEN + "/model.safetensors", "rb").read()[8:].split(b"}}")[0] + b"}}")
weights = {n: np.array(reader.f32(n)) for n in names if n != "__metadata__"}


def noise(*shape):
    return rng.normal(size=shape).astype(np.float32) * 0.1


def write(path, tensors, dtype):
    header, blobs, at = {}, [], 0
    for name, a in tensors.items():
        blob = a.astype(np.float16 if dtype == "F16" else np.float32).tobytes()
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def write_shards(folder, tensors, dtype, count):
    where = {}
    for s in range(count):
        name = f"model-{s + 1:05d}-of-{count:05d}.safetensors"
        part = {n: tensors[n] for n in list(tensors)[s::count]}
        write(os.path.join(folder, name), part, dtype)
        where.update({n: name for n in part})
    json.dump({"metadata": {}, "weight_map": where}, open(folder + "/model.safetensors.index.json", "w"))


def check(name, change=None, keys=None, drop=(), dtype="F32", shards=1, tokens=None):
    cfg, w = copy.deepcopy(config), {n: a.copy() for n, a in weights.items()}
    cfg.update(keys or {})
    for key in drop:
        cfg.pop(key)
    if change:
        change(w, cfg)
    folder = tempfile.mkdtemp()
    try:
        json.dump(cfg, open(folder + "/config.json", "w"))
        if shards == 1:
            write(folder + "/model.safetensors", w, dtype)
        else:
            write_shards(folder, w, dtype, shards)
        tokens = tokens or json.load(open(GOLDEN + "/tokens.json"))["tokens"]
        json.dump(tokens, open(folder + "/tokens.json", "w"))
        wanted = ref_forward.Model(folder).forward(tokens)
        run = subprocess.run([PROGRAM, "model", "forward", folder, "--tokens", folder + "/tokens.json",
                              "--logits", folder + "/logits.npy"], capture_output=True, text=True)
        if run.returncode:
            print(f"{name}: {run.stderr.strip()}")
            return False
        off = abs(np.load(folder + "/logits.npy") - wanted).max() / wanted.std()
        print(f"{name:24s} {off:.1e}" + ("" if off <= TOLERANCE else f", more than {TOLERANCE}"))
        return off <= TOLERANCE
    finally:
        shutil.rmtree(folder)


def tied(w, cfg):
    del w["lm_head.weight"]
    cfg["tie_word_embeddings"] = True


def biases(w, cfg):
    cfg["attention_bias"] = True
    for i in range(2):
        for part, size in (("q", 64), ("k", 32), ("v", 32), ("o", 64)):
            w[f"model.layers.{i}.self_attn.{part}_proj.bias"] = 3 * noise(size)


def own_keys_and_values(w, cfg):
    del cfg["num_key_value_heads"]
    for i in range(2):
        for part in "kv":
            w[f"model.layers.{i}.self_attn.{part}_proj.weight"] = noise(64, HIDDEN)


def make_dense(w, layer):
    for name in [n for n in w if f".layers.{layer}.mlp." in n]:
        del w[name]
    for part, shape in (("gate", (DENSE, HIDDEN)), ("up", (DENSE, HIDDEN)), ("down", (HIDDEN, DENSE))):
        w[f"model.layers.{layer}.mlp.{part}_proj.weight"] = noise(*shape)


def listed_dense(w, cfg):
    make_dense(w, 1)
    cfg["mlp_only_layers"] = [1]


def every_second(w, cfg):
    make_dense(w, 0)
    cfg["decoder_sparse_step"] = 2


def fused(w, _cfg):
    for i in range(2):
        at = f"model.layers.{i}.mlp.experts."
        gates, ups, downs = ([w.pop(f"{at}{e}.{part}_proj.weight") for e in range(EXPERTS)]
                             for part in ("gate", "up", "down"))
        w[at + "gate_up_proj"] = np.stack([np.concatenate(pair) for pair in zip(gates, ups)])
        w[at + "down_proj"] = np.stack(downs)


def scaled(kind_key, kind, **more):
    return {"max_position_embeddings": 64, "rope_scaling": {kind_key: kind, **more}}


old = {"original_max_position_embeddings": 32}
results = [
    check("plain"),
    check("f16", dtype="F16"),
    check("three shards", shards=3),
    check("fused experts", fused),
    check("tied", tied),
    check("biases", biases),
    check("no kv heads given", own_keys_and_values),
    check("no head_dim given", drop=["head_dim"]),
    check("eps", keys={"rms_norm_eps": 1e-3}),
    check("window", keys={"use_sliding_window": True, "sliding_window": 4}, tokens=LONG),
    check("window switched off", keys={"use_sliding_window": False, "sliding_window": 4}),
    check("mlp_only_layers", listed_dense),
    check("decoder_sparse_step", every_second),
    check("norm_topk_prob false", keys={"norm_topk_prob": False}),
    check("norm_topk_prob absent", drop=["norm_topk_prob"]),
    check("linear", keys=scaled("type", "linear", factor=4.0), tokens=LONG),
    check("dynamic, short", keys=scaled("rope_type", "dynamic", factor=2.0), tokens=LONG[:40]),
    check("dynamic, long", keys=scaled("rope_type", "dynamic", factor=2.0), tokens=LONG),
    check("llama3", keys=scaled("rope_type", "llama3", factor=8.0, low_freq_factor=1.0,
                                high_freq_factor=4.0, **old), tokens=LONG),
    check("yarn, mscale", keys=scaled("type", "yarn", factor=8.0, mscale=0.7, mscale_all_dim=1.0, **old),
          tokens=LONG),
    check("yarn, new spelling", drop=["rope_theta", "rope_scaling"], tokens=LONG,
          keys={"rope_parameters": {"rope_type": "yarn", "rope_theta": 5e4, "factor": 4.0,
                                    "truncate": False, "attention_factor": 1.1, **old}}),
]
sys.exit(0 if all(results) else 1)
