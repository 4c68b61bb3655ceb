#!/usr/bin/env python3
"""Rows 6 and 6b of the GPU table: attention alone in bf16, forward and backward, beside PyTorch.

usage: bench/gpu_attention.py 6|6b [--quick]     after script/gpu_build

Row 6: causal, head sizes 64 and 128, 16 heads, T 1024, 4096 and 16384 in batches of 16, 4 and 1, beside cuDNN and flash
attention of scaled_dot_product_attention. Row 6b: a window of 1024 and packed documents at T 16384 beside compiled
FlexAttention. TFLOP/s count 4 operations a channel for each pair of tokens that attends, 2.5 times that backward.
build/cuda/bench/gpu_attention_bench prints a JSON line a case: mode (causal, window, documents), head_dim, length,
batch, heads, deterministic, forward_seconds, backward_seconds.
"""
from gpu_measure import Row, json_lines, lathe, rows_asked, seconds_of

HEADS = 16
SHAPES = [(64, 1024, 16), (64, 4096, 4), (64, 16384, 1), (128, 1024, 16), (128, 4096, 4), (128, 16384, 1)]
WINDOW = 1024
DOCUMENTS = [512, 3000, 100, 1500, 4096, 2048, 700, 1228, 2200, 1000]  # 16384 tokens


def pairs(mode, length):
    """Pairs of tokens of one sequence that attend."""
    causal = lambda n: n * (n + 1) // 2
    if mode == "window":
        return causal(length) - causal(length - WINDOW)
    return sum(map(causal, DOCUMENTS)) if mode == "documents" else causal(length)


def rates(mode, head_dim, length, batch, forward, backward):
    flops = 4 * batch * HEADS * head_dim * pairs(mode, length)
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


def flex(mode, head_dim, length, repeats):
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    document = torch.repeat_interleave(torch.arange(len(DOCUMENTS)), torch.tensor(DOCUMENTS)).to("cuda")
    allowed = {"window": lambda b, h, i, j: (i >= j) & (i - j < WINDOW),
               "documents": lambda b, h, i, j: (i >= j) & (document[i] == document[j])}[mode]
    mask = create_block_mask(allowed, None, None, length, length, device="cuda", _compile=True)
    compiled = torch.compile(flex_attention, dynamic=False)
    q, k, v = inputs(head_dim, length, 1)
    seconds = both_ways(lambda *x: compiled(*x, block_mask=mask), q, k, v, repeats)
    return rates(mode, head_dim, length, 1, *seconds)


def ours(*arguments):
    """{(mode, head_dim, length, deterministic): rates}"""
    results = {}
    for line in json_lines(lathe("bench/gpu_attention_bench", *arguments).stdout):
        key = line["mode"], line["head_dim"], line["length"], line["deterministic"]
        results[key] = rates(line["mode"], line["head_dim"], line["length"], line["batch"], line["forward_seconds"],
                             line["backward_seconds"])
    return results


def show(pair):
    return "/".join(f"{rate:.0f}" for rate in pair)


def compare_causal(row, repeats):
    with row.phase("lathe"):
        lathe_rates = ours("causal")
    with row.phase("PyTorch"):
        peer_rates = {shape: sdpa(*shape, repeats) for shape in SHAPES}
    for shape in SHAPES:
        head_dim, length, _ = shape
        peers = peer_rates[shape]
        for deterministic in (False, True):
            mine = lathe_rates.get(("causal", head_dim, length, deterministic))
            if not mine:
                continue
            same = [value for name, value in peers.items() if name.endswith("deterministic") == deterministic]
            best = [max(value[way] for value in same or peers.values()) for way in (0, 1)]
            row.cell(f"causal, d {head_dim}, T {length}" + (", deterministic" if deterministic else ""),
                     f"{show(mine)} TFLOP/s",
                     "; ".join(f"{name} {show(value)}" for name, value in peers.items()),
                     f"{mine[0] / best[0]:.2f} and {mine[1] / best[1]:.2f} ×", "≥ 0.95 ×; deterministic backward ≥ 0.9 ×")
    row.measured = {"lathe": {str(key): value for key, value in lathe_rates.items()},
                    "peer": {str(key): value for key, value in peer_rates.items()}}


def compare_masks(row, repeats):
    with row.phase("lathe"):
        lathe_rates = ours("window", "documents")
    row.measured = {"lathe": {str(key): value for key, value in lathe_rates.items()}}
    for mode, name in (("window", f"window of {WINDOW}"), ("documents", "packed documents")):
        for head_dim in (64, 128):
            with row.phase(f"FlexAttention {mode} {head_dim}"):
                peer = flex(mode, head_dim, 16384, repeats)
            row.measured[f"flex {mode} {head_dim}"] = peer
            for deterministic in (True, False):
                mine = lathe_rates.get((mode, head_dim, 16384, deterministic))
                if mine:
                    row.cell(f"{name}, d {head_dim}, T 16384" + (", deterministic" if deterministic else ""),
                             f"{show(mine)} TFLOP/s", f"FlexAttention {show(peer)}",
                             f"{mine[0] / peer[0]:.2f} and {mine[1] / peer[1]:.2f} ×", "≥ 1.5 ×")


def main():
    asked = rows_asked(["6", "6b"])
    row = Row(asked.row)
    {"6": compare_causal, "6b": compare_masks}[asked.row](row, 10 if asked.quick else 20)
    row.write()


if __name__ == "__main__":
    main()
