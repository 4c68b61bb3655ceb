#!/usr/bin/env python3
"""Decoding, 128 tokens after 128, beside transformers: rows 8 and 9 of the GPU table, the 1.1B shape in bf16 with batch 1
and 32; row 8q (issue 5's row 7), that shape and SmolLM2-135M's in bf16 and Q8_0, batch 1.

usage: bench/gpu_decode.py 8|9|8q [--quick]     after script/gpu_build

The weights are random, made here with transformers and saved as any model is; `lathe convert` makes Q8_0 of them. The
peer is transformers in bf16 with its static cache, for which generate() compiles the step. Tokens a second are those
written, over the whole generation of a batch, the prompt included; greedy, so that both read the same weights as often.
The first rounds, in which clocks rise and steps are compiled or become graphs, do not count.
"""
import dataclasses
import json
import os
import statistics
import tempfile
import time

from gpu_measure import DATA, DEVICE, GIB, DeviceUse, Row, copy_rate, json_lines, lathe, rows_asked

PROMPT, NEW = 128, 128
WARM = 3  # rounds that do not count


@dataclasses.dataclass
class Shape:
    name: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    tie_word_embeddings: bool = False

    @property
    def tokenizer(self):
        return os.path.join(DATA, f"shards-{self.vocab_size}", "tokenizer.json")


LLAMA_1B = Shape("1.1B", 2048, 5632, 22, 32, 4, 32000)
SMOLLM2 = Shape("SmolLM2-135M", 576, 1536, 30, 9, 3, 49152, tie_word_embeddings=True)


def make_model(shape, folder):
    """The shape with random weights in bf16 and the tokenizer of gpu_carry, no token of which ends a text; bytes of the
    weights."""
    import torch
    import transformers

    fields = {key: value for key, value in dataclasses.asdict(shape).items() if key != "name"}
    config = transformers.LlamaConfig(**fields, max_position_embeddings=2048, rms_norm_eps=1e-5, bos_token_id=1,
                                      eos_token_id=None)
    torch.manual_seed(1)
    with torch.device("cuda"):
        model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer = open(shape.tokenizer, encoding="utf-8").read().replace("<|endoftext|>", "<|unused|>")
    open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8").write(tokenizer)
    return sum(p.numel() * p.element_size() for p in model.parameters())


def make_prompts(shape, count):
    """`count` texts of PROMPT tokens each, as lathe counts them."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(shape.tokenizer)
    ids = tokenizer.encode(open(os.path.join(DATA, "prompts.txt"), encoding="utf-8").read()).ids
    prompts, at = [], 0
    while len(prompts) < count:
        words = tokenizer.decode(ids[at:at + PROMPT])
        if "\ufffd" not in words and len(tokenizer.encode(words).ids) == PROMPT:
            prompts.append(words)
        at = (at + PROMPT // 2 + 1) % (len(ids) - PROMPT)
    return prompts


def ours(shape, model, batch, rounds):
    """Tokens a second of each round of `batch` prompts."""
    prompts = make_prompts(shape, batch * rounds)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
        file.flush()
        with DeviceUse() as use:
            done = lathe("lathe", "generate", model, "--file", file.name, "--max-tokens", NEW, "--batch", batch,
                         "--temperature", 0, "--dtype", "bf16", "--json", *DEVICE)
    results = json_lines(done.stdout)
    assert all((each["prompt_tokens"], each["new_tokens"]) == (PROMPT, NEW) for each in results)
    groups = [results[i:i + batch] for i in range(0, len(results), batch)]
    return {"tokens_per_second": [sum(each["new_tokens"] for each in group) / max(each["seconds"] for each in group)
                                  for group in groups],
            "device_bytes": use.bytes, "process_seconds": done.seconds, "log": done.stderr[-2000:]}


def theirs(shape, folder, batch, rounds):
    import torch
    import transformers

    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to("cuda").eval()
    ids = torch.randint(3, shape.vocab_size, (batch, PROMPT), device="cuda")
    options = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, cache_implementation="static",
                   attention_mask=torch.ones_like(ids), pad_token_id=0)
    seconds = []
    for _ in range(WARM + rounds):
        torch.cuda.synchronize()
        began = time.time()
        with torch.inference_mode():
            out = model.generate(ids, **options)
        torch.cuda.synchronize()
        seconds.append(time.time() - began)
    assert out.shape == (batch, PROMPT + NEW)
    return {"tokens_per_second": [batch * NEW / each for each in seconds[WARM:]], "first_seconds": seconds[0],
            "reserved_bytes": torch.cuda.max_memory_reserved()}


def rate_of(measured, skipped=0):
    return statistics.median(measured["tokens_per_second"][skipped:])


def beside_transformers(row, batch, bar, rounds):
    with tempfile.TemporaryDirectory() as folder:
        with row.phase("weights"):
            weight_bytes = make_model(LLAMA_1B, folder)
        with row.phase("lathe"):
            mine = ours(LLAMA_1B, folder, batch, WARM + rounds)
        with row.phase("transformers"):
            peer = theirs(LLAMA_1B, folder, batch, rounds)
    rate, peer_rate, ceiling = rate_of(mine, WARM), rate_of(peer), copy_rate()
    share = rate / batch * weight_bytes / (1e9 * ceiling)
    row.measured = {"lathe": mine, "peer": peer, "weight_bytes": weight_bytes, "copy_gb_per_s": ceiling,
                    "ratio": rate / peer_rate, "bandwidth_share": share}
    row.cell(f"decode 1.1B bf16, {NEW} tokens after {PROMPT}, batch {batch}",
             f"{rate:,.0f} tok/s, weights at {100 * share:.0f} % of copy bandwidth, {mine['device_bytes'] / GIB:.1f} GiB",
             f"transformers static + compile {peer_rate:,.0f} tok/s", f"{rate / peer_rate:.1f} ×", bar)


def quantized(row, shape, rounds):
    with tempfile.TemporaryDirectory() as folder:
        with row.phase("weights"):
            make_model(shape, folder)
        blocks = os.path.join(folder, "q8_0.gguf")
        with row.phase("Q8_0"):
            lathe("lathe", "convert", folder, blocks, "--type", "q8_0")
        with row.phase("lathe"):
            plain, q8_0 = ours(shape, folder, 1, WARM + rounds), ours(shape, blocks, 1, WARM + rounds)
        with row.phase("transformers"):
            peer = theirs(shape, folder, 1, rounds)
    rate, q_rate, peer_rate = rate_of(plain, WARM), rate_of(q8_0, WARM), rate_of(peer)
    row.measured[shape.name] = {"bf16": plain, "q8_0": q8_0, "peer": peer, "ratio": rate / peer_rate,
                                "ratio_q8_0": q_rate / rate}
    row.cell(f"decode {shape.name}, {NEW} tokens after {PROMPT}, batch 1", f"bf16 {rate:,.0f}, Q8_0 {q_rate:,.0f} tok/s",
             f"transformers static + compile, bf16 {peer_rate:,.0f} tok/s",
             f"{rate / peer_rate:.1f} ×; Q8_0 {q_rate / rate:.2f} × of our bf16",
             "≥ 3.5 ×; Q8_0 ≥ 1.4 × of our bf16")


def main():
    asked = rows_asked(["8", "9", "8q"])
    row, rounds = Row(asked.row), 2 if asked.quick else 4
    if asked.row == "8q":
        row.measured = {}
        for shape in (LLAMA_1B, SMOLLM2):
            quantized(row, shape, rounds)
    else:
        beside_transformers(row, *{"8": (1, "≥ 1,300 tok/s"), "9": (32, "≥ 25,000 tok/s")}[asked.row], rounds)
    row.write()


if __name__ == "__main__":
    main()
