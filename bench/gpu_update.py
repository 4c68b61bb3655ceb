#!/usr/bin/env python3
"""Row 10 of the GPU table: the AdamW update of 1.1B weights, f32 masters and moments and a bf16 copy, beside PyTorch.

usage: bench/gpu_update.py 10 [--quick]     after script/gpu_build

The peer is torch.optim.AdamW(fused=True) and one foreach copy into bf16; the whole update is with the gradients' norm
and clipping. An update moves 30 bytes a weight: weight and two moments read and written in f32, the gradient read, the
copy written. build/cuda/bench/gpu_update_bench prints a JSON line a part: row, ms, gb_per_s.
"""
from gpu_measure import Row, copy_rate, json_lines, lathe, rows_asked, seconds_of


def shapes():
    """The matrices and vectors of the 1.1B shape: 1,100,048,384 weights."""
    hidden, inner, keys = 2048, 5632, 256
    layer = [(hidden, hidden), (keys, hidden), (keys, hidden), (hidden, hidden), (inner, hidden), (inner, hidden),
             (hidden, inner), (hidden,), (hidden,)]
    return [(32000, hidden), *layer * 22, (hidden,), (32000, hidden)]


def peer(repeats):
    import torch

    masters = [torch.nn.Parameter(torch.randn(shape, device="cuda")) for shape in shapes()]
    copies = [master.detach().bfloat16() for master in masters]
    for master in masters:
        master.grad = torch.randn_like(master)
    optimizer = torch.optim.AdamW(masters, lr=1e-4, fused=True)

    @torch.no_grad()
    def update():
        optimizer.step()
        torch._foreach_copy_(copies, masters)

    def whole():
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        update()

    assert sum(master.numel() for master in masters) == 1_100_048_384
    return {"adamw 1.1B": 1e3 * seconds_of(update, repeats), "whole update 1.1B": 1e3 * seconds_of(whole, repeats)}


def main():
    asked = rows_asked(["10"])
    row, repeats = Row("10"), 10 if asked.quick else 30
    with row.phase("lathe"):
        ours = {line["row"]: line for line in json_lines(lathe("bench/gpu_update_bench").stdout)}
    with row.phase("PyTorch"):
        theirs, ceiling = peer(repeats), copy_rate()
    row.measured = {"lathe": ours, "peer": theirs, "copy_gb_per_s": ceiling}
    for part, bar in (("adamw 1.1B", "≥ 1.2 ×, ≥ 85 %"), ("whole update 1.1B", "")):
        mine = ours[part]
        row.cell(part + ", f32 masters and bf16 copy",
                 f"{mine['ms']:.2f} ms, {mine['gb_per_s']:.0f} GB/s, {100 * mine['gb_per_s'] / ceiling:.0f} % of copy",
                 f"fused {theirs[part]:.2f} ms; copies {ceiling:.0f} GB/s", f"{theirs[part] / mine['ms']:.2f} ×", bar)
    row.write()


if __name__ == "__main__":
    main()
