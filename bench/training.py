#!/usr/bin/env python3
"""Training steps of lathe beside PyTorch, on the same weights, batches and settings (training_bench.cpp writes them).

usage: bench/training.py JOB TEXT [--steps N] [--modes eager,compile,f64] [--mkl unlocked,stock] [--set section.field=value ...]
       [--compare]     losses of every step
Run with build/peers/bin/python (script/setup --peers). The peer is a plain PyTorch model with fused attention and fused
AdamW, in f32 or bf16 autocast. Losses must agree before times are printed. Mode f64 computes the same in f64, and then all
others are also compared with that; a mode may state its threads: eager@1.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, time

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UNLOCK = "int mkl_serv_intel_cpu_true(void) { return 1; }"  # MKL's fast path on AMD processors


def peer(folder, mode):
    started = time.time()
    import torch
    from peer_models import Peer

    mode, _, threads = mode.partition("@")
    if threads:
        torch.set_num_threads(int(threads))
    peer = Peer(folder, dtype=torch.float64 if mode == "f64" else torch.float32)
    loss_of = torch.compile(peer.loss) if mode == "compile" else peer.loss
    optimizer, batches = peer.optimizer(), peer.batches(folder)
    losses, seconds = [], []
    ready = time.time()
    for step in range(peer.job["steps"]):
        began = time.time()
        losses.append(peer.step(step, batches[step], loss_of, optimizer).item())
        seconds.append(time.time() - began)
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(json.dumps({"losses": losses, "seconds": seconds, "start_seconds": ready - started,
                      "peak_bytes": int(status["VmHWM"].split()[0]) * 1024}))


def largest_difference(one, other):
    return max(abs(a - b) for a, b in zip(one["losses"], other["losses"]))


def run(command, **environment):
    return json.loads(subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE,
                                     text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--modes", default="eager,compile")
    parser.add_argument("--mkl", default="unlocked,stock")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/unlock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=UNLOCK, text=True, check=True)
        lathe = [f"{root}/build/release/bench/training_bench", arguments.job, arguments.text, folder,
                 str(arguments.steps), *arguments.set]
        results = {"lathe": run(lathe)}
        job = json.load(open(f"{folder}/job.json"))
        for mode in arguments.modes.split(","):
            for mkl in arguments.mkl.split(",")[:1 if mode == "f64" else None]:
                name = f"PyTorch {mode}, MKL {mkl}"
                results[name] = run([sys.executable, __file__, "--peer", folder, mode],
                                    **({"LD_PRELOAD": library} if mkl == "unlocked" else {}))
        results["lathe again"] = run(lathe)
    tokens = results["lathe"]["tokens_per_step"]
    arbiter = next((result for name, result in results.items() if " f64," in name), None)
    print(f"{arguments.job} {' '.join(arguments.set)}: {tokens} tokens a step, {'bf16' if job['bf16'] else 'f32'}")
    print(f"{'':34} {'tok/s':>8} {'step s':>8} {'first s':>8} {'peak GiB':>9} {'largest loss difference':>24}"
          f"{' and from f64' if arbiter else ''}")
    for name, result in results.items():
        step = statistics.median(result["seconds"][1:] or result["seconds"])
        difference = largest_difference(results["lathe"], result)
        result["tokens_per_second"], result["largest_loss_difference"] = tokens / step, difference
        print(f"{name:34} {tokens / step:8.0f} {step:8.3f} {result['start_seconds'] + result['seconds'][0]:8.2f} "
              f"{result['peak_bytes'] / 2**30:9.2f} {difference:24.2e}"
              f"{f' {largest_difference(arbiter, result):12.2e}' if arbiter else ''}")
    if arguments.compare:
        for step in range(arguments.steps):
            print(step + 1, *(f"{result['losses'][step]:.6f}" for result in results.values()))
    if arguments.json:
        json.dump(results, open(arguments.json, "w"))
    worst = max(result["largest_loss_difference"] for result in results.values())
    if worst > (2e-2 if job["bf16"] else 1e-3):
        sys.exit("the losses differ: these are not the same computation")


if __name__ == "__main__":
    peer(*sys.argv[2:]) if sys.argv[1:2] == ["--peer"] else main()
