#!/usr/bin/env python3
"""Rows 8 and 9 of the GPU table: decoding of the 1.1B shape in bf16, 128 tokens after 128, batch 1 and 32.

usage: bench/gpu_decode.py 8|9 [--quick]     after script/gpu_build

The weights are random, made here with transformers and saved as any model is. The peer is transformers with its static
cache, for which generate() compiles the step. Tokens a second are those written, over the whole generation of a batch
after the first one, the prompt included; greedy, so that both read the same weights as often.
"""
import json
import os
import shutil
import statistics
import tempfile
import time

from gpu_measure import DATA, DEVICE, GIB, DeviceUse, Row, copy_rate, json_lines, lathe, rows_asked

PROMPT, NEW = 128, 128
BARS = {1: "≥ 1,300 tok/s", 32: "≥ 25,000 tok/s"}


def make_model(folder):
    """The 1.1B shape with random weights in bf16 and the tokenizer of gpu_carry; bytes of its weights."""
    import torch
    import transformers

    config = transformers.LlamaConfig(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
                                      num_attention_heads=32, num_key_value_heads=4, max_position_embeddings=2048,
                                      rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
    torch.manual_seed(1)
    with torch.device("cuda"):
        model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    shutil.copy(os.path.join(DATA, "shards-32000", "tokenizer.json"), folder)
    return sum(p.numel() * p.element_size() for p in model.parameters())


def make_prompts(folder, count):
    """`count` texts of PROMPT tokens each, as lathe counts them."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    ids = tokenizer.encode(open(os.path.join(DATA, "prompts.txt"), encoding="utf-8").read()).ids
    prompts, at = [], 0
    while len(prompts) < count:
        words = tokenizer.decode(ids[at:at + PROMPT])
        if "\ufffd" not in words and len(tokenizer.encode(words).ids) == PROMPT:
            prompts.append(words)
        at = (at + PROMPT // 2 + 1) % (len(ids) - PROMPT)
    return prompts


def ours(folder, batch, rounds):
    """Tokens a second of each round of `batch` prompts."""
    prompts = make_prompts(folder, batch * rounds)
    with open(f"{folder}/prompts.jsonl", "w") as out:
        out.writelines(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    with DeviceUse() as use:
        done = lathe("lathe", "generate", folder, "--file", f"{folder}/prompts.jsonl", "--max-tokens", NEW, "--batch",
                     batch, "--temperature", 0, "--dtype", "bf16", "--json", *DEVICE)
    results = json_lines(done.stdout)
    groups = [results[i:i + batch] for i in range(0, len(results), batch)]
    return {"tokens_per_second": [sum(each["new_tokens"] for each in group) / max(each["seconds"] for each in group)
                                  for group in groups],
            "prompt_tokens": sorted({each["prompt_tokens"] for each in results}),
            "new_tokens": sorted({each["new_tokens"] for each in results}), "device_bytes": use.bytes,
            "process_seconds": done.seconds, "log": done.stderr[-2000:]}


def theirs(folder, batch, rounds):
    import torch
    import transformers

    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to("cuda").eval()
    ids = torch.randint(3, 32000, (batch, PROMPT), device="cuda")
    options = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, cache_implementation="static",
                   attention_mask=torch.ones_like(ids), pad_token_id=0)
    seconds = []
    for _ in range(2 + rounds):
        torch.cuda.synchronize()
        began = time.time()
        with torch.inference_mode():
            out = model.generate(ids, **options)
        torch.cuda.synchronize()
        seconds.append(time.time() - began)
    assert out.shape == (batch, PROMPT + NEW)
    return {"tokens_per_second": [batch * NEW / each for each in seconds[2:]], "first_seconds": seconds[0],
            "reserved_bytes": torch.cuda.max_memory_reserved()}


def main():
    asked = rows_asked(["8", "9"])
    row, rounds = Row(asked.row), 2 if asked.quick else 4
    batch = {"8": 1, "9": 32}[asked.row]
    with tempfile.TemporaryDirectory() as folder:
        with row.phase("weights"):
            weight_bytes = make_model(folder)
        with row.phase("lathe"):
            mine = ours(folder, batch, 1 + rounds)
        with row.phase("transformers"):
            peer = theirs(folder, batch, rounds)
    rate = statistics.median(mine["tokens_per_second"][1:])
    peer_rate, ceiling = statistics.median(peer["tokens_per_second"]), copy_rate()
    share = rate / batch * weight_bytes / (1e9 * ceiling)
    row.measured = {"lathe": mine, "peer": peer, "weight_bytes": weight_bytes, "copy_gb_per_s": ceiling,
                    "ratio": rate / peer_rate, "bandwidth_share": share}
    row.cell(f"decode 1.1B bf16, {NEW} tokens after {PROMPT}, batch {batch}",
             f"{rate:,.0f} tok/s, weights at {100 * share:.0f} % of copy bandwidth, {mine['device_bytes'] / GIB:.1f} GiB",
             f"transformers static + compile {peer_rate:,.0f} tok/s", f"{rate / peer_rate:.1f} ×", BARS[batch])
    row.write()


if __name__ == "__main__":
    main()
