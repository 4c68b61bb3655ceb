#!/usr/bin/env python3
"""Encoders of lathe beside transformers: sentence vectors, classification, and an encoder-decoder's texts.

usage: build/peers/bin/python bench/encoders.py [embed-f32 embed-bf16 classify write] [--rounds N]
embed: all-MiniLM-L6-v2 (script/setup --models), 320 texts of about 48 tokens, 32 at a time, sorted by length for both.
classify: the shape of BERT-base with random weights, 32 texts of 128 tokens, 8 at a time. write: the shape of T5-small with
random weights, the 64 likeliest tokens about 4 texts of 64, one after another, with caches. Results must agree before
anything is timed; then both run by turns, on the same number of threads. The peer's best of its attention implementations
counts.
"""
import argparse, json, os, random, statistics, subprocess, sys, tempfile, time

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
THREADS = 2


class Lathe:
    def __init__(self, kind, model, ids, dtype, batch):
        self.process = subprocess.Popen([f"{root}/build/release/bench/encoder_bench", kind, model, ids, dtype, str(batch)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": str(THREADS)})
        self.result = json.loads(self.process.stdout.readline())

    def seconds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def by_turns(lathe, peers, rounds):
    ours, theirs = [], {name: [] for name in peers}
    for _ in range(rounds):
        ours.append(lathe.seconds())
        for name, run in peers.items():
            began = time.time()
            run()
            theirs[name].append(time.time() - began)
    return statistics.median(ours), {name: statistics.median(times) for name, times in theirs.items()}


def report(what, unit, count, lathe, peers, rounds, difference):
    ours, theirs = by_turns(lathe, peers, rounds)
    name, best = min(theirs.items(), key=lambda item: item[1])
    print(f"{what}: lathe {count / ours:.4g} {unit}/s, transformers {name} {count / best:.4g} {unit}/s, "
          f"ratio {best / ours:.2f} (largest difference {difference:.1e})", flush=True)


def batches(ids, batch, padding):
    import torch
    for first in range(0, len(ids), batch):
        some = ids[first:first + batch]
        longest = max(map(len, some))
        yield (torch.tensor([row + [padding] * (longest - len(row)) for row in some]),
               torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in some]))


def embed(folder, dtype, rounds):
    import torch, transformers
    model = f"{root}/build/models/all-MiniLM-L6-v2"
    random.seed(1)
    ids = sorted(([101] + [random.randrange(1996, 30000) for _ in range(random.randrange(34, 58))] + [102]
                  for _ in range(320)), key=len, reverse=True)
    json.dump(ids, open(f"{folder}/ids.json", "w"))
    lathe = Lathe("embed", model, f"{folder}/ids.json", dtype, 32)
    packs = list(batches(ids, 32, 0))
    peers, result = {}, None
    for attention in ("sdpa", "eager"):
        peer = transformers.AutoModel.from_pretrained(model, dtype=torch.float32, attn_implementation=attention).eval()
        if dtype == "bf16":
            peer = peer.bfloat16()

        def run(peer=peer):
            with torch.inference_mode():
                out = []
                for tokens, mask in packs:
                    hidden, weights = peer(tokens, attention_mask=mask).last_hidden_state, mask.unsqueeze(-1).float()
                    out.append(torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=1))
                return torch.cat(out)
        peers[attention], result = run, run()
    difference = (result - torch.tensor(lathe.result)).abs().max().item()
    assert difference < (1e-4 if dtype == "f32" else 3e-2), difference
    report(f"MiniLM vectors, {dtype}", "texts", len(ids), lathe, peers, rounds, difference)


def classify(folder, rounds):
    import torch, transformers
    torch.manual_seed(1)
    peer = transformers.BertForSequenceClassification(transformers.BertConfig()).eval()
    peer.save_pretrained(f"{folder}/bert")
    ids = [[random.randrange(1000, 30000) for _ in range(128)] for _ in range(32)]
    json.dump(ids, open(f"{folder}/ids.json", "w"))
    lathe = Lathe("classify", f"{folder}/bert", f"{folder}/ids.json", "f32", 8)
    packs = list(batches(ids, 8, 0))
    peers = {}
    for attention in ("sdpa", "eager"):
        other = transformers.BertForSequenceClassification.from_pretrained(f"{folder}/bert",
                                                                           attn_implementation=attention).eval()

        def run(other=other):
            with torch.inference_mode():
                return torch.cat([other(tokens, attention_mask=mask).logits for tokens, mask in packs])
        peers[attention] = run
    difference = (run() - torch.tensor(lathe.result)).abs().max().item()
    assert difference < 1e-4, difference
    report("BERT-base classification, f32", "texts", len(ids), lathe, peers, rounds, difference)


def write(folder, rounds):
    import torch, transformers
    torch.manual_seed(1)
    peer = transformers.T5ForConditionalGeneration(transformers.T5Config(decoder_start_token_id=0)).eval()
    peer.save_pretrained(f"{folder}/t5")
    ids = [[random.randrange(100, 32000) for _ in range(64)] for _ in range(4)]
    json.dump(ids, open(f"{folder}/ids.json", "w"))
    lathe = Lathe("write", f"{folder}/t5", f"{folder}/ids.json", "f32", 1)

    def run():
        with torch.inference_mode():
            return [peer.generate(torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long),
                                  max_new_tokens=64, min_new_tokens=64, do_sample=False)[0, 1:].tolist() for row in ids]
    theirs = run()
    assert theirs == lathe.result, [sum(a == b for a, b in zip(x, y)) for x, y in zip(theirs, lathe.result)]
    report("T5-small shape, 64 tokens, f32", "tokens", 64 * len(ids), lathe, {"cached": run}, rounds, 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", default=["embed-f32", "embed-bf16", "classify", "write"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    import torch
    torch.set_num_threads(THREADS)
    for row in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            if row.startswith("embed"):
                embed(folder, row.removeprefix("embed-"), arguments.rounds)
            else:
                {"classify": classify, "write": write}[row](folder, arguments.rounds)


main()
