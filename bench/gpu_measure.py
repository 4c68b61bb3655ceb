"""What the GPU benchmarks share: lathe's programs and how they are told of the GPU, the card's state, timing with
events, and the JSON of a row, which `script/gpu_bench --table` makes bench/README.md from."""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "cuda")
DATA = os.path.join(ROOT, "build", "gpu_carry", "data")
OUT = os.environ.get("OUT") or os.path.join(ROOT, "build", "gpu_bench")
DEVICE = ["--device", "cuda"]           # of commands
JOB_DEVICE = "training.device=cuda"     # of jobs
JOB_FP8 = "training.matmul=fp8"
GIB = 2**30


def shards(vocabulary):
    """The token shards for a model of this vocabulary."""
    folder = os.path.join(DATA, f"shards-{vocabulary}")
    if not os.path.isdir(folder):
        sys.exit(f"{sys.argv[0]}: no {folder}; script/gpu_carry --data makes it")
    return folder


def environment():
    libraries = [os.path.join(BUILD, "library"), os.path.join(ROOT, "build/gpu_carry/root/usr/lib/x86_64-linux-gnu"),
                 "/usr/local/cuda/lib64", os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, libraries))}


def lathe(program, *arguments, check=True):
    """A program of build/cuda; its result has .stdout, .stderr, .seconds."""
    began = time.time()
    result = subprocess.run([os.path.join(BUILD, program), *map(str, arguments)], env=environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    result.seconds = time.time() - began
    if check and result.returncode:
        sys.exit(f"{program} {' '.join(map(str, arguments))}\nended with {result.returncode}:\n{result.stderr[-4000:]}")
    return result


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def query(*fields):
    """Of nvidia-smi, as words."""
    result = subprocess.run(["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits", "-i", "0"],
                            text=True, stdout=subprocess.PIPE)
    return dict(zip(fields, (word.strip() for word in result.stdout.split(","))))


def clocks():
    return query("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "memory.used")


def versions():
    import torch
    import transformers

    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL).stdout.strip()
    return {"lathe": f"{lathe('lathe', '--version').stdout.splitlines()[0]} {commit}".strip(), "torch": torch.__version__,
            "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "transformers": transformers.__version__,
            "python": sys.version.split()[0]}


class DeviceUse:
    """What the whole device held above its start, at most, while the block ran; polled every 20 ms."""

    def __enter__(self):
        import pynvml

        pynvml.nvmlInit()
        self.memory = lambda: pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used
        self.before, self.bytes, self.ended = self.memory(), 0, threading.Event()
        self.thread = threading.Thread(target=self.poll)
        self.thread.start()
        return self

    def poll(self):
        while not self.ended.wait(0.02):
            self.bytes = max(self.bytes, self.memory() - self.before)

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def seconds_of(call, repeats=20, warm=3):
    """Median seconds of one call on the GPU."""
    import torch

    for _ in range(warm):
        call()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    marks[0].record()
    for mark in marks[1:]:
        call()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in zip(marks, marks[1:])) / 1e3


def copy_rate(repeats=20):
    """GB/s of a device-to-device copy, read and written."""
    import torch

    source = torch.empty(2**31, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds_of(lambda: target.copy_(source), repeats) / 1e9


class Row:
    """A row of the table: times of its phases, what was measured, and the cells people read."""

    def __init__(self, name):
        self.name, self.started, self.cells, self.measured, self.phases = name, time.time(), [], {}, {}
        self.before, self.gpu = clocks(), query("name", "driver_version", "memory.total", "clocks.max.sm")

    @contextlib.contextmanager
    def phase(self, name):
        began = time.time()
        yield
        self.phases[name] = round(time.time() - began, 2)
        print(f"row {self.name}: {name}: {self.phases[name]:.1f} s", flush=True)

    def cell(self, what, ours, peer="", ratio="", bar=""):
        self.cells.append({"what": what, "lathe": ours, "peer": peer, "ratio": ratio, "bar": bar})
        print(f"row {self.name}: {what} | {ours} | {peer} | {ratio} | bar {bar}", flush=True)

    def write(self):
        os.makedirs(OUT, exist_ok=True)
        with open(os.path.join(OUT, f"row-{self.name}.json"), "w") as out:
            json.dump({"row": self.name, "command": f"script/gpu_bench {' '.join(sys.argv[1:])}", "cells": self.cells,
                       "measured": self.measured, "gpu": self.gpu, "clocks_before": self.before,
                       "clocks_after": clocks(), "versions": versions(), "seconds": self.phases,
                       "all_seconds": round(time.time() - self.started, 1)}, out, indent=1)


def measured(row):
    """What an earlier run of `row` measured here, or nothing."""
    path = os.path.join(OUT, f"row-{row}.json")
    return json.load(open(path))["measured"] if os.path.exists(path) else {}


def rows_asked(rows):
    """The command line of a benchmark: `ROW [--quick]`."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=rows)
    parser.add_argument("--quick", action="store_true", help="half the repetitions")
    return parser.parse_args()
