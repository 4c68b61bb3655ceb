#!/usr/bin/env python3
"""Training steps of lathe beside PyTorch, on the same weights, batches and settings (training_bench.cpp writes them).

usage: bench/training.py JOB TEXT [--steps N] [--modes eager,compile] [--mkl unlocked|stock] [--set section.field=value ...]
       [--compare]     losses of every step, and their largest difference
Run with build/peers/bin/python (script/setup --peers). The peer is a plain PyTorch model with fused attention and fused
AdamW, in f32 or bf16 autocast. Losses must agree before times are printed.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, time

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UNLOCK = "int mkl_serv_intel_cpu_true(void) { return 1; }"  # MKL's fast path on AMD processors


def peer(folder, mode):
    started = time.time()
    import numpy, torch, torch.nn.functional as F
    from safetensors.torch import load_file

    job, config = (json.load(open(f"{folder}/{name}.json")) for name in ("job", "config"))
    weights = load_file(f"{folder}/model.safetensors")
    parameters = {name: torch.nn.Parameter(value.clone()) for name, value in weights.items()}
    del weights

    def gpt2(ids):
        p = lambda name: parameters["transformer." + name]
        heads, eps = config["n_head"], config["layer_norm_epsilon"]
        rows, length = ids.shape
        x = p("wte.weight")[ids] + p("wpe.weight")[:length]
        norm = lambda x, name: F.layer_norm(x, x.shape[-1:], p(name + ".weight"), p(name + ".bias"), eps)
        linear = lambda x, name: F.linear(x, p(name + ".weight").t(), p(name + ".bias"))
        for layer in range(config["n_layer"]):
            h = f"h.{layer}."
            q, k, v = (t.view(rows, length, heads, -1).transpose(1, 2)
                       for t in linear(norm(x, h + "ln_1"), h + "attn.c_attn").chunk(3, -1))
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(rows, length, -1)
            x = x + linear(a, h + "attn.c_proj")
            x = x + linear(F.gelu(linear(norm(x, h + "ln_2"), h + "mlp.c_fc"), approximate="tanh"), h + "mlp.c_proj")
        return F.linear(norm(x, "ln_f"), p("wte.weight"))

    def llama(ids):
        p = lambda name: parameters["model." + name]
        heads, kv_heads, dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
        rows, length = ids.shape
        frequencies = config["rope_theta"] ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles = torch.arange(length, dtype=torch.float64)[:, None] * torch.cat([frequencies, frequencies])
        cos, sin = angles.cos().float(), angles.sin().float()
        def rotary(x):
            half = x.shape[-1] // 2
            return (x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin).to(x.dtype)
        norm = lambda x, name: F.rms_norm(x, x.shape[-1:], p(name + ".weight"), config["rms_norm_eps"])
        x = p("embed_tokens.weight")[ids]
        for layer in range(config["num_hidden_layers"]):
            h = f"layers.{layer}."
            n = norm(x, h + "input_layernorm")
            split = lambda name, count: F.linear(n, p(h + f"self_attn.{name}_proj.weight")).view(
                rows, length, count, dim).transpose(1, 2)
            a = F.scaled_dot_product_attention(rotary(split("q", heads)), rotary(split("k", kv_heads)),
                                               split("v", kv_heads), is_causal=True, enable_gqa=heads != kv_heads)
            x = x + F.linear(a.transpose(1, 2).reshape(rows, length, -1), p(h + "self_attn.o_proj.weight"))
            n = norm(x, h + "post_attention_layernorm")
            n = F.silu(F.linear(n, p(h + "mlp.gate_proj.weight"))) * F.linear(n, p(h + "mlp.up_proj.weight"))
            x = x + F.linear(n, p(h + "mlp.down_proj.weight"))
        head = parameters.get("lm_head.weight", parameters["model.embed_tokens.weight"])
        return F.linear(norm(x, "norm"), head)

    def loss_of(ids, targets):
        with torch.autocast("cpu", torch.bfloat16, enabled=job["bf16"]):
            logits = {"gpt2": gpt2, "llama": llama}[config["model_type"]](ids)
            return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    if mode == "compile":
        loss_of = torch.compile(loss_of)
    matrices = [p for p in parameters.values() if p.dim() > 1]
    vectors = [p for p in parameters.values() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": job["weight_decay"]},
                                   {"params": vectors, "weight_decay": 0.0}],
                                  betas=tuple(job["betas"]), eps=job["epsilon"], fused=True)
    length, losses, seconds = job["sequence_length"], [], []
    batches = numpy.fromfile(f"{folder}/batches.i32", dtype=numpy.int32).astype(numpy.int64)
    batches = torch.from_numpy(batches.reshape(job["steps"], job["accumulation"], job["micro_batch"], length + 1))
    ready = time.time()
    for step in range(job["steps"]):
        began = time.time()
        for group in optimizer.param_groups:
            group["lr"] = job["learning_rates"][step]
        total = 0.0
        for batch in batches[step]:
            loss = loss_of(batch[:, :-1], batch[:, 1:]) / job["accumulation"]
            loss.backward()
            total += loss.item()
        if job["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(parameters.values(), job["clip_norm"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(total)
        seconds.append(time.time() - began)
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(json.dumps({"losses": losses, "seconds": seconds, "start_seconds": ready - started,
                      "peak_bytes": int(status["VmHWM"].split()[0]) * 1024}))


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
            for mkl in arguments.mkl.split(","):
                name = f"PyTorch {mode}, MKL {mkl}"
                results[name] = run([sys.executable, __file__, "--peer", folder, mode],
                                    **({"LD_PRELOAD": library} if mkl == "unlocked" else {}))
        results["lathe again"] = run(lathe)
    tokens = results["lathe"]["tokens_per_step"]
    print(f"{arguments.job} {' '.join(arguments.set)}: {tokens} tokens a step, {'bf16' if job['bf16'] else 'f32'}")
    print(f"{'':34} {'tok/s':>8} {'step s':>8} {'first s':>8} {'peak GiB':>9} {'largest loss difference':>24}")
    ours = results["lathe"]["losses"]
    for name, result in results.items():
        step = statistics.median(result["seconds"][1:] or result["seconds"])
        difference = max(abs(a - b) for a, b in zip(ours, result["losses"]))
        result["tokens_per_second"], result["largest_loss_difference"] = tokens / step, difference
        print(f"{name:34} {tokens / step:8.0f} {step:8.3f} {result['start_seconds'] + result['seconds'][0]:8.2f} "
              f"{result['peak_bytes'] / 2**30:9.2f} {difference:24.2e}")
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
