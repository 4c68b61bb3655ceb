#!/usr/bin/env python3
"""Rows 6 and 6b of the GPU table: attention alone in bf16, forward and backward, beside PyTorch.

usage: bench/gpu_attention.py 6|6b [--quick]     after script/gpu_build

Row 6: causal, head sizes 64 and 128, 16 heads, T 1024, 4096 and 16384 in batches of 16, 4 and 1, beside cuDNN and flash
attention of scaled_dot_product_attention. Row 6b: a window of 1024 and packed documents at T 16384 beside compiled
FlexAttention. TFLOP/s count 4 operations a channel for each pair of tokens that attends, half a square for causal ones,
and 2.5 times that backward. lathe's backward is deterministic. build/cuda/bench/gpu_attention_bench prints a JSON line a
shape and pass; its documents are those below.
"""
from gpu_measure import Row, json_lines, lathe, rows_asked, seconds_of

HEADS = 16
SHAPES = [(64, 1024, 16), (64, 4096, 4), (64, 16384, 1), (128, 1024, 16), (128, 4096, 4), (128, 16384, 1)]
WINDOW, LONG = 1024, 16384
DOCUMENTS = [1000, 300, 2500, 120, 1700, 600, 4000, 64, 900, 2100, 450, 1500, 1150]  # LONG tokens


def pairs(mask, length):
    """Pairs of tokens of one sequence that attend."""
    if mask == "documents":
        return sum(n * n for n in DOCUMENTS) / 2
    unseen = length - WINDOW if mask == "window 1024" else 0
    return (length**2 - unseen**2) / 2


def rates(mask, head_dim, length, batch, forward, backward):
    flops = 4 * batch * HEADS * head_dim * pairs(mask, length)
    return flops / forward / 1e12, 2.5 * flops / backward / 1e12


def inputs(head_dim, length, batch):
    import torch

    make = lambda: torch.randn(batch, HEADS, length, head_dim, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    return make(), make(), make()


def both_ways(attend, q, k, v, repeats):
    import torch

    out = attend(q, k, v)
    gradient = torch.randn_like(out)
    forward = seconds_of(lambda: attend(q, k, v), repeats)
    return forward, seconds_of(lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True), repeats)


def sdpa(head_dim, length, batch, repeats):
    """{backend: rates}, each in its usual and, where PyTorch has one, its deterministic mode."""
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel

    results = {}
    q, k, v = inputs(head_dim, length, batch)
    for deterministic in (False, True):
        torch.use_deterministic_algorithms(deterministic)
        for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
            try:
                with sdpa_kernel(backend):
                    seconds = both_ways(lambda *x: F.scaled_dot_product_attention(*x, is_causal=True), q, k, v, repeats)
            except RuntimeError as error:
                print(f"PyTorch has no {name}, deterministic {deterministic}: {str(error)[:100]}")
                continue
            mode = name + (" deterministic" if deterministic else "")
            results[mode] = rates("causal", head_dim, length, batch, *seconds)
    torch.use_deterministic_algorithms(False)
    return results


def flex(mask, head_dim, repeats):
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    document = torch.repeat_interleave(torch.arange(len(DOCUMENTS)), torch.tensor(DOCUMENTS)).to("cuda")
    allowed = {"window 1024": lambda b, h, i, j: (i >= j) & (i - j < WINDOW),
               "documents": lambda b, h, i, j: (i >= j) & (document[i] == document[j])}[mask]
    blocks = create_block_mask(allowed, None, None, LONG, LONG, device="cuda")
    compiled = torch.compile(flex_attention, dynamic=False)
    q, k, v = inputs(head_dim, LONG, 1)
    seconds = both_ways(lambda *x: compiled(*x, block_mask=blocks), q, k, v, repeats)
    return rates(mask, head_dim, LONG, 1, *seconds)


def ours(repeats):
    """{(mask, head_dim, length): [forward, backward]} of 16 heads, and all lines."""
    output = lathe("bench/gpu_attention_bench", repeats).stdout
    lines = [line for line in json_lines(output) if line["bench"] == "attention"]
    results = {}
    for line in lines:
        if line["kv_heads"] == HEADS:
            results.setdefault((line["mask"], line["head_dim"], line["tokens"]), {})[line["pass"]] = line["tflops"]
    return {shape: (both["forward"], both["backward"]) for shape, both in results.items()}, lines


def show(pair):
    return "/".join(f"{rate:.0f}" for rate in pair)


def compare_causal(row, repeats):
    with row.phase("lathe"):
        lathe_rates, row.measured["lathe"] = ours(repeats)
    for head_dim, length, batch in SHAPES:
        with row.phase(f"PyTorch d {head_dim} T {length}"):
            peers = sdpa(head_dim, length, batch, repeats)
        row.measured[f"PyTorch d {head_dim} T {length}"] = peers
        mine = lathe_rates["causal", head_dim, length]
        best = [max(value[way] for name, value in peers.items() if "deterministic" not in name) for way in (0, 1)]
        same = [value[1] for name, value in peers.items() if "deterministic" in name]
        row.cell(f"causal, d {head_dim}, T {length}, deterministic", f"{show(mine)} TFLOP/s",
                 "; ".join(f"{name} {show(value)}" for name, value in peers.items()),
                 f"{mine[0] / best[0]:.2f} and {mine[1] / best[1]:.2f} ×"
                 + (f", {mine[1] / max(same):.2f} × of deterministic" if same else ""), "≥ 0.95 ×; backward ≥ 0.9 ×")


def compare_masks(row, repeats):
    with row.phase("lathe"):
        lathe_rates, row.measured["lathe"] = ours(repeats)
    for mask in ("window 1024", "documents"):
        for head_dim in (64, 128):
            with row.phase(f"FlexAttention {mask} d {head_dim}"):
                peer = flex(mask, head_dim, repeats)
            row.measured[f"FlexAttention {mask} d {head_dim}"] = peer
            mine = lathe_rates[mask, head_dim, LONG]
            row.cell(f"{mask}, d {head_dim}, T {LONG}, deterministic", f"{show(mine)} TFLOP/s",
                     f"FlexAttention {show(peer)}", f"{mine[0] / peer[0]:.2f} and {mine[1] / peer[1]:.2f} ×", "≥ 1.5 ×")


def main():
    asked = rows_asked(["6", "6b"])
    row = Row(asked.row)
    {"6": compare_causal, "6b": compare_masks}[asked.row](row, 10 if asked.quick else 20)
    row.write()


if __name__ == "__main__":
    main()
