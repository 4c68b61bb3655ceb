#!/usr/bin/env python3
"""Row 7 of the GPU table: linear + cross-entropy, H 4096, V 128,256, forward and backward, beside eager full logits.

usage: bench/gpu_head.py 7 [--quick]     after script/gpu_build

Extra memory is what is held at the peak beyond the hidden rows, the weight and its gradient. The first line that
build/cuda/bench/gpu_head_bench prints for a number of tokens is with the chunks that training takes.
"""
from gpu_measure import Row, json_lines, lathe, rows_asked, seconds_of

HIDDEN, VOCABULARY, TOKENS = 4096, 128256, (8192, 16384, 32768)


def eager(tokens, wide, repeats):
    """Seconds and extra bytes of PyTorch; `wide`: the logits in f32 for the loss, as autocast has them."""
    import torch
    import torch.nn.functional as F

    x = torch.randn(tokens, HIDDEN, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(VOCABULARY, HIDDEN, device="cuda", dtype=torch.bfloat16).mul_(0.02).requires_grad_()
    targets = torch.randint(VOCABULARY, (tokens,), device="cuda")

    def both_ways():
        logits = F.linear(x, weight)
        F.cross_entropy(logits.float() if wide else logits, targets).backward()
        x.grad = weight.grad = None

    seconds = seconds_of(both_ways, repeats, warm=2)
    lasting = 2 * (x.numel() + 2 * weight.numel()) + 8 * tokens
    torch.cuda.reset_peak_memory_stats()
    both_ways()
    return {"ms": 1e3 * seconds, "extra_mib": (torch.cuda.max_memory_allocated() - lasting) / 2**20}


def main():
    asked = rows_asked(["7"])
    row, repeats = Row("7"), 5 if asked.quick else 10
    with row.phase("lathe"):
        chunkings = json_lines(lathe("bench/gpu_head_bench").stdout)
        ours = {tokens: next(line for line in chunkings if line["tokens"] == tokens) for tokens in TOKENS}
    peers = {}
    for tokens in TOKENS:
        with row.phase(f"PyTorch {tokens}"):
            peers[tokens] = {"bf16": eager(tokens, False, repeats), "f32": eager(tokens, True, repeats)}
        mine, best = ours[tokens], min(peers[tokens].values(), key=lambda each: each["ms"])
        row.cell(f"linear + cross-entropy, {tokens} tokens",
                 f"{mine['ms']:.1f} ms, {mine['extra_mib']:.0f} MiB extra",
                 f"eager {best['ms']:.1f} ms, {best['extra_mib']:.0f} MiB extra",
                 f"{mine['ms'] / best['ms']:.2f} × time, {100 * mine['extra_mib'] / best['extra_mib']:.1f} % memory",
                 "≤ 1.05 ×, ≤ 5 %")
    row.measured = {"lathe": ours, "chunkings": chunkings, "peer": peers}
    row.write()


if __name__ == "__main__":
    main()
