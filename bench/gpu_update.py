#!/usr/bin/env python3
"""Row 10 of the GPU table: the AdamW update of 1.1B weights, f32 masters and moments and a bf16 copy, beside PyTorch.

usage: bench/gpu_update.py 10 [--quick]     after script/gpu_build

The peer is torch.optim.AdamW(fused=True) and one foreach copy into bf16. An update moves 30 bytes a weight: weight and
two moments read and written in f32, the gradient read, the copy written. build/cuda/bench/gpu_update_bench prints one
JSON line: parameters, seconds of the update without the gradient's norm, norm_seconds.
"""
from gpu_measure import Row, json_lines, lathe, rows_asked, seconds_of

BYTES_A_WEIGHT = 30


def shapes():
    """The matrices and vectors of the 1.1B shape: 1,100,048,384 weights."""
    hidden, inner, keys = 2048, 5632, 256
    layer = [(hidden, hidden), (keys, hidden), (keys, hidden), (hidden, hidden), (inner, hidden), (inner, hidden),
             (hidden, inner), (hidden,), (hidden,)]
    return [(32000, hidden), *layer * 22, (hidden,), (32000, hidden)]


def copy_rate(repeats):
    """Bytes a second of a device-to-device copy, read and written."""
    import torch

    source = torch.empty(2**31, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds_of(lambda: target.copy_(source), repeats)


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

    norm = lambda: torch.nn.utils.clip_grad_norm_(masters, 1.0)
    return {"parameters": sum(master.numel() for master in masters), "seconds": seconds_of(update, repeats),
            "norm_seconds": seconds_of(norm, repeats)}


def main():
    asked = rows_asked(["10"])
    row, repeats = Row("10"), 10 if asked.quick else 30
    with row.phase("lathe"):
        ours = json_lines(lathe("bench/gpu_update_bench").stdout)[-1]
    with row.phase("PyTorch"):
        theirs, ceiling = peer(repeats), copy_rate(repeats)
    rate = BYTES_A_WEIGHT * ours["parameters"] / ours["seconds"]
    row.measured = {"lathe": ours, "peer": theirs, "copy_bytes_per_second": ceiling, "bytes_per_second": rate}
    row.cell("AdamW update of 1.1B, f32 masters and bf16 copy",
             f"{1e3 * ours['seconds']:.2f} ms, {rate / 1e12:.2f} TB/s, {100 * rate / ceiling:.0f} % of copy",
             f"fused {1e3 * theirs['seconds']:.2f} ms; copies {ceiling / 1e12:.2f} TB/s",
             f"{theirs['seconds'] * ours['parameters'] / (ours['seconds'] * theirs['parameters']):.2f} ×",
             "≥ 1.2 ×, ≥ 85 %")
    row.cell("norm and clipping of its gradients", f"{1e3 * ours['norm_seconds']:.2f} ms",
             f"{1e3 * theirs['norm_seconds']:.2f} ms", f"{theirs['norm_seconds'] / ours['norm_seconds']:.2f} ×")
    row.write()


if __name__ == "__main__":
    main()
