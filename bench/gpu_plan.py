#!/usr/bin/env python3
"""Rows 11 and 12 of the GPU table: what `lathe plan` says beside what the card shows.

usage: bench/gpu_plan.py 11|12 [--quick]     after script/gpu_build

Row 11: the estimated time of a step against the measured one, rows 1 to 4 and three other shapes. Row 12: the planned
peak of the Arena and of the whole process against the run's own count and the device's, over 57 settings of two steps.
"""
import itertools
import json
import statistics

from gpu_measure import JOB_DEVICE, ROOT, DeviceUse, Row, json_lines, lathe, rows_asked, shards
from gpu_training import CASES, WARM, arguments_of

SHAPES = {  # that the stored profile was not made from: job, vocabulary, settings
    "GPT-2 shape 16 × 1280, 8 × 512": ("gpt2-124m", 50257, [
        "model.hidden_size=1280", "model.num_hidden_layers=16", "model.num_attention_heads=20", "training.micro_batch=8",
        "training.sequence_length=512"]),
    "LLaMA shape 16 × 1024, 4 × 4096": ("llama-135m", 49152, [
        "model.hidden_size=1024", "model.num_hidden_layers=16", "model.num_attention_heads=16",
        "model.num_key_value_heads=8", "model.intermediate_size=2816", "model.max_position_embeddings=4096",
        "training.micro_batch=4"]),
    "LLaMA shape 24 × 2560, 4 × 2048, selective": ("llama-1.1b", 32000, [
        "model.hidden_size=2560", "model.num_hidden_layers=24", "model.num_attention_heads=20",
        "model.num_key_value_heads=4", "model.intermediate_size=6912", "training.micro_batch=4",
        "training.checkpoint=selective"]),
}
BASE = ["training.accumulation=1", "training.dtype=bf16", "training.steps=2000", "schedule.warmup_steps=10", JOB_DEVICE]


def plan(job, settings, *more):
    options = [part for setting in settings for part in ("--set", setting)]
    return json.loads(lathe("lathe", "plan", job, *options, "--json", *more).stdout)


def train(job, text, steps, settings):
    with DeviceUse() as use:
        measured = json_lines(lathe("bench/training_bench", job, text, "-", steps, *settings).stdout)[-1]
    return {**measured, "device_bytes": use.bytes}


def compare_times(row, quick):
    cases = {CASES[name][0]: arguments_of(name) for name in CASES}
    for name, (job, vocabulary, settings) in SHAPES.items():
        cases[name] = [f"{ROOT}/jobs/{job}.toml", shards(vocabulary)], [*BASE, "training.checkpoint=none", *settings]
    for name, ((job, text), settings) in cases.items():
        with row.phase(name):
            estimate = plan(job, settings, "--device", "h200")["estimated_seconds_per_step"]
            seconds = train(job, text, WARM + (5 if quick else 10), settings)["seconds"]
        step = statistics.median(seconds[WARM:])
        row.measured[name] = {"estimate": estimate, "step_seconds": step}
        row.cell(f"step of {name}", f"estimate {1e3 * estimate:.1f} ms", f"measured {1e3 * step:.1f} ms",
                 f"{100 * (estimate / step - 1):+.1f} %", "± 10 %")


def configurations():
    """Small settings that differ in what takes memory."""
    small = {"gpt2-124m": (50257, ["model.num_hidden_layers=4", "model.hidden_size=512", "model.num_attention_heads=8"]),
             "llama-135m": (49152, ["model.num_hidden_layers=4"]),
             "llama-1.1b": (32000, ["model.num_hidden_layers=3"])}
    batches = [(1, 1024, 1), (2, 1024, 1), (4, 512, 2), (8, 256, 1), (16, 1024, 1), (3, 640, 1), (24, 512, 1)]
    for (job, (vocabulary, shape)), (rows, length, accumulation) in itertools.product(small.items(), batches):
        for checkpoint, dtype in (("none", "bf16"), ("selective", "bf16"), ("block", "f32"))[(rows % 2):]:
            yield job, vocabulary, [*shape, f"training.micro_batch={rows}", f"training.sequence_length={length}",
                                    f"training.accumulation={accumulation}", f"training.checkpoint={checkpoint}",
                                    f"training.dtype={dtype}"]


def compare_memory(row, quick):
    settings_of_all = list(configurations())
    wrong, worst = [], 0
    with row.phase(f"{len(settings_of_all)} settings"):
        for job, vocabulary, settings in settings_of_all[::2 if quick else 1]:
            settings = ["training.steps=2000", *settings, JOB_DEVICE]
            path = f"{ROOT}/jobs/{job}.toml"
            planned, real = plan(path, settings), train(path, shards(vocabulary), 2, settings)
            apart = planned["needed"] / real["device_bytes"] - 1
            worst = max(worst, abs(apart))
            tensors = planned["kept"]["bytes"] + planned["episodes"]["step"]["reserved"]
            if tensors != real["arena_bytes"]:
                wrong.append([job, settings, tensors, real["arena_bytes"]])
            row.measured[f"{job} {' '.join(settings)}"] = {
                "planned": tensors, "arena": real["arena_bytes"], "needed": planned["needed"],
                "device": real["device_bytes"]}
            short = " ".join(setting.split("=")[1] for setting in settings[-6:-1])
            print(f"{apart:+8.2%} {tensors - real['arena_bytes']:+d} bytes: {job} {short}", flush=True)
    count = len(row.measured)
    row.cell(f"planned peak of {count} settings", f"{count - len(wrong)} equal to the byte in the Arena",
             "the device's own count", f"at most {100 * worst:.2f} % apart with the overhead", "equal; ≤ 1 %")
    row.measured["differ"] = wrong


def main():
    asked = rows_asked(["11", "12"])
    row = Row(asked.row)
    {"11": compare_times, "12": compare_memory}[asked.row](row, asked.quick)
    row.write()


if __name__ == "__main__":
    main()
