#!/usr/bin/python3
"""Random checkpoints of qwen3_moe with every key that changes the computation, against the float64
reference forward pass. Needs numpy and the reference, whose folder is the second argument.

  variants.py MOECAP_INFERENCE TOOLS_DIR [--seeds N] [--keep DIR]
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

BASE = dict(model_type="qwen3_moe", architectures=["Qwen3MoeForCausalLM"], hidden_size=64,
            intermediate_size=96, moe_intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_experts=8,
            num_experts_per_tok=2, norm_topk_prob=True, vocab_size=128, max_position_embeddings=256,
            rms_norm_eps=1e-6, rope_theta=1e6, rope_scaling=None, attention_bias=False,
            tie_word_embeddings=False, decoder_sparse_step=1, mlp_only_layers=[], hidden_act="silu",
            use_sliding_window=False, sliding_window=None, bos_token_id=1, eos_token_id=2,
            torch_dtype="bfloat16")

LLAMA3 = dict(factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(factor=4.0, original_max_position_embeddings=32)

# name: changes to BASE; the keys that start with an underscore say how it is stored
VARIANTS = {
    "plain": {},
    "bias": dict(attention_bias=True),
    "no_renormalization": dict(norm_topk_prob=False),
    "mlp_only": dict(mlp_only_layers=[1], num_hidden_layers=3),
    "sparse_step": dict(decoder_sparse_step=2, num_hidden_layers=4),
    "all_dense": dict(mlp_only_layers=[0, 1]),
    "tied": dict(tie_word_embeddings=True),
    "window": dict(use_sliding_window=True, sliding_window=7, max_window_layers=0),
    "window_off": dict(use_sliding_window=False, sliding_window=7),
    "head_dim_absent": dict(head_dim=None),
    "head_dim_wide": dict(head_dim=24),
    "no_groups": dict(num_key_value_heads=4),
    "one_kv_head": dict(num_key_value_heads=1),
    "kv_heads_absent": dict(num_key_value_heads=None),
    "odd_sizes": dict(hidden_size=70, moe_intermediate_size=27, head_dim=10, vocab_size=131),
    "many_experts": dict(num_experts=33, num_experts_per_tok=7),
    "all_experts": dict(num_experts=4, num_experts_per_tok=4),
    "eps": dict(rms_norm_eps=1e-2),
    "rope_linear": dict(rope_scaling=dict(type="linear", factor=3.0)),
    "rope_linear_new": dict(rope_parameters=dict(rope_type="linear", rope_theta=5e4, factor=3.0)),
    "rope_dynamic": dict(rope_scaling=dict(rope_type="dynamic", factor=2.0),
                         max_position_embeddings=16),
    "rope_dynamic_within": dict(rope_scaling=dict(rope_type="dynamic", factor=2.0)),
    "rope_dynamic_new": dict(rope_parameters=dict(rope_type="dynamic", rope_theta=1e4, factor=2.0),
                             max_position_embeddings=20),
    "rope_yarn_old": dict(rope_scaling=dict(type="yarn", **YARN), max_position_embeddings=128),
    "rope_yarn_new": dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, **YARN)),
    "rope_yarn_no_original": dict(rope_scaling=dict(rope_type="yarn", factor=2.0),
                                  max_position_embeddings=64),
    "rope_yarn_mscale": dict(rope_scaling=dict(rope_type="yarn", mscale=0.8, mscale_all_dim=1.1,
                                               beta_fast=16, beta_slow=2, **YARN)),
    "rope_yarn_attention": dict(rope_scaling=dict(rope_type="yarn", attention_factor=1.3,
                                                  truncate=False, **YARN)),
    "rope_llama3_old": dict(rope_scaling=dict(type="llama3", **LLAMA3), rope_theta=1e4),
    "rope_llama3_new": dict(rope_parameters=dict(rope_type="llama3", rope_theta=1e4, **LLAMA3)),
    "f16": dict(torch_dtype="float16", _dtype="F16"),
    "f32": dict(torch_dtype="float32", _dtype="F32"),
    "sharded": dict(_shards=3),
    "fused": dict(_fused=True),
    "fused_f16_sharded": dict(_fused=True, _shards=2, _dtype="F16", torch_dtype="float16"),
    "bias_tied_window_f32": dict(attention_bias=True, tie_word_embeddings=True, _dtype="F32",
                                 use_sliding_window=True, sliding_window=3, torch_dtype="float32"),
}

# Where two experts are nearly tied for the last place, rounding may choose the other one. From there on the
# row computes something else, and so do later rows that attend to it in the layers behind. Only those rows are
# left out, and only when another expert was really chosen; a choice that differs without a tie is a failure.
GAP_OF_F32, GAP_OF_ROUNDED = 1e-3, 1e-2
# Each checkpoint must still be judged by as many of its 40 positions.
JUDGED_MIN = 3


def is_moe(cfg, layer):
    return (layer not in cfg["mlp_only_layers"] and cfg["num_experts"] > 0
            and (layer + 1) % cfg["decoder_sparse_step"] == 0)


def tensors_of(cfg, rng, fused):
    h, heads = cfg["hidden_size"], cfg["num_attention_heads"]
    kv = cfg.get("num_key_value_heads") or heads
    dim = cfg.get("head_dim") or h // heads

    def matrix(n, k, scale=1.0):
        return (rng.standard_normal((n, k)) * scale / np.sqrt(k)).astype(np.float32)

    def norm(n):
        return (1 + 0.2 * rng.standard_normal(n)).astype(np.float32)

    def mlp(inner):
        return {"gate_proj": matrix(inner, h), "up_proj": matrix(inner, h),
                "down_proj": matrix(h, inner)}

    out = {"model.embed_tokens.weight": rng.standard_normal((cfg["vocab_size"], h)).astype("f4")}
    for i in range(cfg["num_hidden_layers"]):
        p = f"model.layers.{i}."
        out[p + "input_layernorm.weight"] = norm(h)
        out[p + "post_attention_layernorm.weight"] = norm(h)
        for name, n, k in (("q", heads * dim, h), ("k", kv * dim, h), ("v", kv * dim, h),
                           ("o", h, heads * dim)):
            out[f"{p}self_attn.{name}_proj.weight"] = matrix(n, k)
            if cfg["attention_bias"]:
                out[f"{p}self_attn.{name}_proj.bias"] = (0.3 * rng.standard_normal(n)).astype("f4")
        out[p + "self_attn.q_norm.weight"] = norm(dim)
        out[p + "self_attn.k_norm.weight"] = norm(dim)
        if not is_moe(cfg, i):
            for name, a in mlp(cfg["intermediate_size"]).items():
                out[f"{p}mlp.{name}.weight"] = a
            continue
        out[p + "mlp.gate.weight"] = matrix(cfg["num_experts"], h, 2.0)
        experts = [mlp(cfg["moe_intermediate_size"]) for _ in range(cfg["num_experts"])]
        if fused:
            out[p + "mlp.experts.gate_up_proj"] = np.stack(
                [np.concatenate([e["gate_proj"], e["up_proj"]]) for e in experts])
            out[p + "mlp.experts.down_proj"] = np.stack([e["down_proj"] for e in experts])
        else:
            for n, e in enumerate(experts):
                for name, a in e.items():
                    out[f"{p}mlp.experts.{n}.{name}.weight"] = a
    out["model.norm.weight"] = norm(h)
    if not cfg["tie_word_embeddings"]:
        out["lm_head.weight"] = matrix(cfg["vocab_size"], h)
    return out


def write(directory, changes, seed, st_io):
    how = {k: v for k, v in changes.items() if k.startswith("_")}
    cfg = {**BASE, **{k: v for k, v in changes.items() if not k.startswith("_")}}
    if "rope_parameters" in cfg:
        del cfg["rope_scaling"], cfg["rope_theta"]
    json.dump(cfg, open(f"{directory}/config.json", "w"))
    rng = np.random.default_rng(seed)
    dtype = how.get("_dtype", "BF16")
    encode = {"BF16": st_io.f32_to_bf16, "F16": lambda a: a.astype("f2"), "F32": lambda a: a}[dtype]
    packed = {n: (dtype, a.shape, encode(a))
              for n, a in tensors_of(cfg, rng, how.get("_fused", False)).items()}
    shards = how.get("_shards", 1)
    if shards == 1:
        st_io.save(f"{directory}/model.safetensors", packed)
        return cfg
    names, where = list(packed), {}
    for s in range(shards):
        file = f"model-{s + 1:05d}-of-{shards:05d}.safetensors"
        part = {n: packed[n] for n in names[s::shards]}
        st_io.save(f"{directory}/{file}", part)
        where.update({n: file for n in part})
    json.dump({"metadata": {}, "weight_map": where},
              open(f"{directory}/model.safetensors.index.json", "w"))
    return cfg


def run(program, directory, tokens, precision, greedy):
    json.dump({"tokens": tokens}, open(f"{directory}/tokens.json", "w"))
    subprocess.run([program, "model", "forward", directory, "--tokens", f"{directory}/tokens.json",
                    "--precision", precision, "--logits", f"{directory}/got.npy", "--experts",
                    f"{directory}/got.json", "--greedy", str(greedy)],
                   check=True, stdout=subprocess.DEVNULL)
    return np.load(f"{directory}/got.npy"), json.load(open(f"{directory}/got.json"))


def greedy_of(model, tokens, count):
    """Tokens, and how far each was ahead of the second."""
    out, margins = [], []
    for _ in range(count):
        last = model.forward(tokens + out)[-1]
        order = np.sort(last)
        out.append(int(last.argmax()))
        margins.append(order[-1] - order[-2])
    return out, margins


def same_rows(reference, gaps, got, gap_max, window):
    """Which rows went through the same experts as the reference, in every layer; and a problem or None."""
    same = np.ones(len(gaps[0]) if gaps else 40, bool)
    moe = 0
    for layer, (want, have) in enumerate(zip(reference, got["layers"])):
        if (want is None) != (have is None):
            return same, f"layer {layer}: dense and sparse are mixed up"
        # attention: a row sees what the rows before it had become in the layers so far
        reach = len(same) if not window else window
        same = np.array([same[max(0, t - reach + 1):t + 1].all() for t in range(len(same))])
        if want is None:
            continue
        gap = gaps[moe]
        moe += 1
        other = np.array([sorted(w) != sorted(h) for w, h in zip(want["experts"], have["experts"])])
        wrong = other & same & (gap > gap_max)
        if wrong.any():
            t = int(wrong.argmax())
            return same, f"layer {layer}, row {t}: other experts, though the gap is {gap[t]:.2g}"
        same &= ~other
        if gap_max <= GAP_OF_F32:
            for t in np.nonzero(same)[0]:
                w = dict(zip(want["experts"][t], want["weights"][t]))
                h = dict(zip(have["experts"][t], have["weights"][t]))
                if max(abs(w[e] - h[e]) for e in w) > 1e-4:
                    return same, f"layer {layer}, row {t}: other weights"
    return same, None


def with_gaps(ref_forward):
    """The reference's model, which keeps the gap of every row of every router."""
    class Model(ref_forward.Model):
        def route(self, x, p):
            idx, wt, gap = super().route(x, p)
            self.gaps.append(gap)
            return idx, wt, gap

        def forward(self, tokens):
            self.gaps = []
            return super().forward(tokens)
    return Model


def check(program, name, changes, seed, precision, st_io, ref_forward, report):
    with tempfile.TemporaryDirectory() as directory:
        cfg = write(directory, changes, seed, st_io)
        model = with_gaps(ref_forward)(directory)
        rng = np.random.default_rng(seed + 1000)
        vocab = model.cfg["vocab_size"]
        tokens = [int(t) for t in rng.integers(3, vocab, 40)]
        greedy = 4 if precision == "f32" else 0
        got, choices = run(program, directory, tokens, precision, greedy)
        wanted = model.forward(tokens)
        std = wanted.std()
        limit = 1e-4 if precision == "f32" else 5e-2
        gap_max = GAP_OF_F32 if precision == "f32" else GAP_OF_ROUNDED
        window = cfg["sliding_window"] if cfg["use_sliding_window"] else None
        judged, problem = same_rows(model.experts, model.gaps, choices, gap_max, window)
        error = (np.abs(got - wanted).max(-1) / std)[judged].max(initial=0)
        report.append((name, seed, precision, error, int(judged.sum())))
        if judged.sum() < JUDGED_MIN:
            problem = problem or f"only {judged.sum()} of its rows could be judged"
        if error > limit:
            problem = problem or f"differs by {error:.2g} of the standard deviation, {limit} is allowed"
        order = np.sort(wanted, -1)
        margin = (order[:, -1] - order[:, -2]) / std
        if ((got.argmax(-1) != wanted.argmax(-1)) & (margin > 2 * limit) & judged).any():
            problem = problem or "another token is the likeliest"
        if greedy and not problem and judged.all():
            want, margins = greedy_of(model, tokens, greedy)
            sure = next((i for i, m in enumerate(margins) if m < 1e-3 * std), greedy)
            if choices["greedy"][:sure] != want[:sure]:
                problem = f"continues with {choices['greedy']}, not {want}"
        if problem:
            print(f"{name} seed {seed} {precision}: {problem}")
        return not problem


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("program")
    ap.add_argument("tools")
    ap.add_argument("--seeds", type=int, default=1)
    ap.add_argument("--only", default="")
    a = ap.parse_args()
    sys.path.insert(0, a.tools)
    import ref_forward
    import st_io
    ok, report = True, []
    for name, changes in VARIANTS.items():
        if a.only not in name:
            continue
        for seed in range(a.seeds):
            for precision in ("f32", "bf16", "int8"):
                ok &= check(a.program, name, changes, seed, precision, st_io, ref_forward, report)
    for precision in ("f32", "bf16", "int8"):
        rows = sorted((e, j, n) for n, _, p, e, j in report if p == precision)
        if rows:
            print(f"{precision}: {len(rows)} checkpoints, largest difference {rows[-1][0]:.2g} of the standard "
                  f"deviation ({rows[-1][2]}), median {rows[len(rows) // 2][0]:.2g}; judged "
                  f"{sum(j for _, j, _ in rows)} of {40 * len(rows)} positions, at least "
                  f"{min(j for _, j, _ in rows)} of each")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
