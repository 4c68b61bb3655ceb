#!/usr/bin/env python3
"""Rows 1 to 5 of the GPU table: training steps of lathe beside PyTorch's compile, on the same weights and batches.

usage: bench/gpu_training.py 1|2|3|4|4b|5 [--quick]     after script/gpu_build

training_bench of build/cuda writes weights, batches and settings; the peer (peer_models.py: bf16 autocast, fused AdamW,
clipping) takes them. The losses must agree before times are printed. Times are medians of steps after the first five,
PyTorch's by events, lathe's by the clock, each step to its end. Row 4b: FP8 products against bf16 and against
PyTorch's FP8. Row 5: from the start of the program to the end of its first step.
"""
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from gpu_measure import (BUILD, GIB, JOB_DEVICE, JOB_FP8, ROOT, DeviceUse, Row, environment, json_lines, lathe,
                         rows_asked, shards)

AGREED = 1e-2  # losses
WARM = 5  # lathe's first is eager, two make graphs
SAVING = "training.checkpoint=selective"  # where the bar is for memory too
CASES = {  # row: what, job, vocabulary, settings, the bars for speed and memory
    "1": ("GPT-2 124M, 32 × 1024", "gpt2-124m", 50257, ["training.micro_batch=32", SAVING], 1.1, 0.75),
    "2": ("135M LLaMA shape, 16 × 2048", "llama-135m", 49152, ["training.micro_batch=16", SAVING], 1.1, 0.7),
    "3": ("GPT-2 350M, 16 × 1024", "gpt2-350m", 50257, ["training.micro_batch=16"], 1.1, None),
    "4": ("LLaMA 1.1B, 8 × 2048", "llama-1.1b", 32000,
          ["training.micro_batch=8", "model.tie_word_embeddings=true", SAVING], 1.1, 0.8),
}
MODES = {"1": ["compile-padded", "compile"], "2": ["compile"], "3": ["compile-padded", "compile"],
         "4": ["compile", "compile-cudnn"]}  # the likely best first, the only one of --quick
COMMON = ["training.accumulation=1", "training.checkpoint=none", "training.dtype=bf16", "training.steps=2000", JOB_DEVICE]


def peer(folder, mode, steps):
    """The process that trains with PyTorch: `mode` is eager, compile, fp8 or f32 (neither autocast nor TF32), with -cudnn
    or -flash to force attention, or -padded for a head of a multiple of 64 rows."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from peer_models import Peer

    how, _, how_else = mode.partition("-")
    torch.set_float32_matmul_precision("highest" if how == "f32" else "high")
    linear = torch.nn.functional.linear
    if how == "fp8":
        from peer_fp8 import linear
    attention = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}.get(how_else)
    peer = Peer(folder, "cuda", linear, padded=how_else == "padded")
    peer.job["bf16"] &= how != "f32"
    loss_of = torch.compile(peer.loss, dynamic=False) if how in ("compile", "fp8") else peer.loss
    optimizer, batches = peer.optimizer(), peer.batches(folder)
    if how == "f32":  # row by row, for the memory
        peer.job["accumulation"] *= peer.job["micro_batch"]
        batches = batches.flatten(1, 2).unsqueeze(2)
    steps = min(int(steps), len(batches))
    losses, ends = [], []
    with sdpa_kernel(attention) if attention else contextlib.nullcontext():
        for step in range(steps):
            batch = batches[step].pin_memory().to("cuda", non_blocking=True)
            losses.append(peer.step(step, batch, loss_of, optimizer))
            ends.append(torch.cuda.Event(enable_timing=True))
            ends[-1].record()
            if step == 0:
                torch.cuda.synchronize()
                first = time.time()
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    print(json.dumps({"losses": torch.stack(losses).tolist(), "first_step_ended": first,
                      "seconds": [a.elapsed_time(b) / 1e3 for a, b in zip(ends, ends[1:])],
                      "allocated_bytes": torch.cuda.max_memory_allocated(),
                      "reserved_bytes": torch.cuda.max_memory_reserved(), "device_bytes": total - free}))


def run_peer(folder, mode, steps, **variables):
    began = time.time()
    result = subprocess.run([sys.executable, os.path.abspath(__file__), "--peer", folder, mode, str(steps)],
                            env={**os.environ, **variables}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode:
        sys.exit(f"PyTorch {mode} ended with {result.returncode}:\n{result.stderr[-4000:]}")
    measured = json_lines(result.stdout)[-1]
    measured["first_step_seconds"] = measured["first_step_ended"] - began
    measured["step_seconds"] = statistics.median(measured["seconds"][WARM - 1:])
    return measured


def arguments_of(row, *more):
    _, job, vocabulary, settings, _, _ = CASES[row]
    return [f"{ROOT}/jobs/{job}.toml", shards(vocabulary)], [*COMMON, *settings, *more]


def run_ours(row, folder, steps, *more):
    where, settings = arguments_of(row, *more)
    with DeviceUse() as use:
        measured = json_lines(lathe("bench/training_bench", *where, folder, steps, *settings).stdout)[-1]
    measured["device_bytes"] = use.bytes
    measured["step_seconds"] = statistics.median(measured["seconds"][WARM:])
    return measured


def largest_difference(ours, theirs):
    return max(abs(a - b) for a, b in zip(ours["losses"], theirs["losses"]))


def speed(result):
    return f"{result['tokens_per_step'] / result['step_seconds'] / 1e3:.1f}k tok/s"


def compare(row, quick):
    """Rows 1 to 4."""
    what, _, _, _, fast, small = CASES[row.name]
    steps = WARM + (10 if quick else 20)
    with tempfile.TemporaryDirectory() as folder:
        with row.phase("lathe"):
            ours = run_ours(row.name, folder, steps)
        peers = {}
        for mode in MODES[row.name][:1 if quick else None]:
            with row.phase(f"PyTorch {mode}"):
                peers[mode] = run_peer(folder, mode, steps)
                peers[mode]["tokens_per_step"] = ours["tokens_per_step"]
        with row.phase("lathe again"):
            again = run_ours(row.name, folder, steps)
        difference = max(largest_difference(ours, each) for each in peers.values())
        if difference > AGREED:  # is it what rounding to bf16 does to this training?
            with row.phase("PyTorch f32"):
                exact = run_peer(folder, "f32", steps)
    best = min(peers.values(), key=lambda each: each["step_seconds"])
    ratio = best["step_seconds"] / min(ours["step_seconds"], again["step_seconds"])
    memory = ours["planned_bytes"] / best["allocated_bytes"]
    row.measured = {"lathe": ours, "lathe_again": again, "peers": peers, "ratio": ratio, "memory_ratio": memory,
                    "device_memory_ratio": ours["device_bytes"] / best["device_bytes"],
                    "largest_loss_difference": difference}
    row.cell(what, f"{speed(ours)} and {speed(again)}, {ours['planned_bytes'] / GIB:.1f} GiB",
             f"compile {speed(best)}, {best['allocated_bytes'] / GIB:.1f} GiB",
             f"{ratio:.2f} ×, {memory:.2f} × memory", f"≥ {fast} ×" + (f", ≤ {small} × memory" if small else ""))
    row.cell("largest difference of the losses", f"{difference:.1e}", bar=f"≤ {AGREED:.0e}")
    if difference <= AGREED:
        return True
    ours_off, best_off = largest_difference(ours, exact), largest_difference(best, exact)
    row.measured |= {"exact": exact, "from_f32": [ours_off, best_off]}
    row.cell("largest distance of the losses from PyTorch's in f32", f"{ours_off:.1e}", f"compile, bf16: {best_off:.1e}")
    return ours_off <= 2 * best_off


def compare_fp8(row, quick):
    """Row 4b. Rates from few steps, losses from 500."""
    steps = WARM + (10 if quick else 20)
    with tempfile.TemporaryDirectory() as folder:
        with row.phase("lathe bf16"):
            bf16 = run_ours("4", folder, 500)
        with row.phase("lathe fp8"):
            fp8 = run_ours("4", folder, 500, JOB_FP8)
        peers = {}
        for mode in ("compile", "fp8"):
            with row.phase(f"PyTorch {mode}"):
                peers[mode] = run_peer(folder, mode, steps)
                peers[mode]["tokens_per_step"] = fp8["tokens_per_step"]
    end = [statistics.mean(each["losses"][-50:]) for each in (bf16, fp8)]
    apart = abs(end[1] / end[0] - 1)
    over = {mode: each["step_seconds"] / fp8["step_seconds"] for mode, each in peers.items()}
    row.measured = {"lathe_bf16": bf16, "lathe_fp8": fp8, "peers": peers, "ratios": over, "loss_apart": apart}
    row.cell("LLaMA 1.1B with FP8 products", f"{speed(fp8)} (bf16 {speed(bf16)})",
             f"compile {speed(peers['compile'])}, its FP8 {speed(peers['fp8'])}",
             f"{over['compile']:.2f} × of bf16, {over['fp8']:.2f} × of FP8", "≥ 1.35 ×, ≥ 1.05 ×")
    row.cell("loss of steps 451 to 500, FP8 and bf16", f"{end[1]:.4f} and {end[0]:.4f}",
             ratio=f"{100 * apart:.2f} % apart", bar="≤ 0.5 %")
    return apart <= 0.005


def ours_to_first_step(folder):
    """Seconds from the start of `lathe train` until its log holds a step; then it is stopped."""
    where, settings = arguments_of("1", f"run={folder}", f'data.corpus=[{{path="{shards(50257)}"}}]',
                                   "evaluation.every=0", "sample.every=0", "save.every=0")
    command = [f"{BUILD}/lathe", "train", where[0], *(part for s in settings for part in ("--set", s))]
    log, began = os.path.join(folder, "log.jsonl"), time.time()
    with open(os.path.join(folder, "errors"), "w") as errors:
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None and not (os.path.exists(log) and '"loss"' in open(log).read()):
            time.sleep(0.002)
        seconds = time.time() - began
        ended = process.poll()
        process.send_signal(signal.SIGKILL)
        process.wait()
    if ended is not None:
        sys.exit(f"lathe train ended early:\n{open(os.path.join(folder, 'errors')).read()[-4000:]}")
    return seconds


def compare_starts(row, quick):
    """Row 5; PyTorch with an empty cache of compiled kernels, then with a full one."""
    with tempfile.TemporaryDirectory() as folder:
        ours = []
        with row.phase("lathe"):
            for run in range(2 if quick else 3):
                os.mkdir(f"{folder}/run{run}")
                ours.append(ours_to_first_step(f"{folder}/run{run}"))
        with row.phase("weights for the peer"):
            run_ours("1", folder, WARM + 1)
        peers = {}
        for name, mode in (("eager", "eager"), ("compile", "compile"), ("compile, its cache full", "compile")):
            with row.phase(f"PyTorch {name}"):
                peers[name] = run_peer(folder, mode, WARM + 1, TORCHINDUCTOR_CACHE_DIR=f"{folder}/cache",
                                       TRITON_CACHE_DIR=f"{folder}/triton")["first_step_seconds"]
    row.measured = {"lathe": ours, "peers": peers}
    row.cell("start to first finished step, row 1", f"{ours[0]:.2f} s, then {min(ours[1:]):.2f} s",
             ", ".join(f"{name} {seconds:.1f} s" for name, seconds in peers.items()),
             f"{peers['compile'] / ours[0]:.1f} ×", "≤ 3 s")
    return True


def main():
    asked = rows_asked([*CASES, "4b", "5"])
    row = Row(asked.row)
    agrees = {"4b": compare_fp8, "5": compare_starts}.get(asked.row, compare)(row, asked.quick)
    row.write()
    if not agrees:
        sys.exit("the losses differ: these are not the same computation")


if __name__ == "__main__":
    peer(*sys.argv[2:]) if sys.argv[1:2] == ["--peer"] else main()
