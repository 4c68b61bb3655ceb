#!/usr/bin/env python3
"""Models in GGUF files on a CPU: lathe beside llama.cpp, which reads the same files.

usage: chrt -f 10 build/llama-cpp/bin/python bench/quant.py [ROW...] [--types q4_0,q4_1,q8_0,q4_k_m,f16] [--rounds N]
rows: load (program to first token), decode, prompt, memory; perplexity, only where it is named. SmolLM2-135M-Instruct (script/setup --models --llama-cpp) in
Q4_1 as it was published, and in other types as llama.cpp's quantizer makes them of that, under build/quant. A prompt of
512 tokens, 64 greedy ones behind it. What both compute is compared before anything is timed; then both run by turns, on
the same number of threads: llama.cpp in this process, lathe in another. llama.cpp's threads wait for each other by spinning, and
lose much to other work on the machine: run it at real-time priority.
perplexity: --chunks of 512 tokens at the beginning of --text (../shared/data/wikitext2/wiki.test.raw; 0: all of it), as
llama-perplexity counts, of SmolLM2 in its types and of Gemma 3 270M; by lathe in f32 and bf16.
"""
import argparse, ctypes, glob, json, os, statistics, subprocess, tempfile, time

import llama_cpp as peer
import numpy

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
THREADS, PROMPT, TOKENS = 2, 512, 64
SOURCE = f"{root}/build/models/SmolLM2-135M-Instruct.Q4_1.gguf"
FILE_TYPES = {"q4_0": peer.LLAMA_FTYPE_MOSTLY_Q4_0, "q8_0": peer.LLAMA_FTYPE_MOSTLY_Q8_0,
              "q4_k_m": peer.LLAMA_FTYPE_MOSTLY_Q4_K_M, "f16": peer.LLAMA_FTYPE_MOSTLY_F16}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}


def file_of(kind):
    """The model in this type."""
    if kind == "q4_1":
        return SOURCE
    path = f"{root}/build/quant/smollm2-{kind}.gguf"
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        parameters = peer.llama_model_quantize_default_params()
        parameters.ftype, parameters.allow_requantize, parameters.nthread = FILE_TYPES[kind], True, THREADS
        made = peer.llama_model_quantize(SOURCE.encode(), (path + ".partial").encode(), ctypes.byref(parameters))
        assert made == 0, f"llama.cpp did not write {path}"
        os.rename(path + ".partial", path)
    return path


class Peer:
    def __init__(self, path, length=PROMPT + TOKENS):
        self.model = peer.llama_model_load_from_file(path.encode(), peer.llama_model_default_params())
        self.vocabulary = peer.llama_model_get_vocab(self.model)
        parameters = peer.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch, parameters.n_ubatch = length, length, PROMPT
        parameters.n_threads = parameters.n_threads_batch = THREADS
        self.context = peer.llama_init_from_model(self.model, parameters)
        self.size = peer.llama_vocab_n_tokens(self.vocabulary)

    def close(self):
        peer.llama_free(self.context)
        peer.llama_model_free(self.model)

    def ids_of(self, text):
        raw, ids = text.encode(), (peer.llama_token * (len(text) + 8))()
        return ids[:peer.llama_tokenize(self.vocabulary, raw, len(raw), ids, len(ids), False, True)]

    def step(self, tokens):
        ids = (peer.llama_token * len(tokens))(*tokens)
        assert peer.llama_decode(self.context, peer.llama_batch_get_one(ids, len(ids))) == 0
        return numpy.ctypeslib.as_array(peer.llama_get_logits_ith(self.context, -1), (self.size,))

    def read_prompt(self, ids):
        peer.llama_memory_clear(peer.llama_get_memory(self.context), True)
        return self.step(ids)

    def decode(self, logits, tokens=TOKENS):
        written = [int(logits.argmax())]
        while len(written) < tokens:
            written.append(int(self.step(written[-1:]).argmax()))
        return written


class Lathe:
    def __init__(self, path, ids, folder, tokens=TOKENS, dtype="bf16"):
        json.dump(ids, open(f"{folder}/ids.json", "w"))
        self.process = subprocess.Popen([f"{root}/build/release/bench/quant_bench", path, f"{folder}/ids.json", dtype, str(tokens)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self.result = json.loads(self.process.stdout.readline())

    def seconds(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def text_of_prompt():
    """Prose of this project."""
    pages = sorted(glob.glob(f"{root}/docs/*.md"))
    return "".join(open(page).read() for page in pages)[:8000]


def divergence(logits, others):
    """Of the likelihoods of the next token, in nats."""
    logs = [x - x.max() - numpy.log(numpy.exp(x - x.max()).sum()) for x in (logits, others)]
    return float((numpy.exp(logs[0]) * (logs[0] - logs[1])).sum())


def speed(kinds, rows, rounds, folder):
    for kind in kinds:
        path = file_of(kind)
        theirs = Peer(path)
        ids = theirs.ids_of(text_of_prompt())[:PROMPT]
        ours = Lathe(path, ids, folder)
        logits = theirs.read_prompt(ids).astype(numpy.float64)
        written = theirs.decode(logits)
        own = numpy.array(ours.result["logits"])
        off = float(numpy.sqrt(((own - logits) ** 2).mean() / (logits ** 2).mean()))
        equal = next((i for i, (a, b) in enumerate(zip(written, ours.result["tokens"])) if a != b), TOKENS)
        assert off < 0.15 and divergence(logits, own) < 0.05, (off, divergence(logits, own))
        print(f"{kind}: the first {equal} of {TOKENS} greedy tokens equal; logits {100 * off:.1f} % of their root mean "
              f"square apart, divergence {divergence(logits, own):.1e}", flush=True)
        for row, tokens in (("prompt", PROMPT), ("decode", TOKENS - 1)):
            if row not in rows:
                continue
            times = []
            for _ in range(rounds):
                seconds = ours.seconds(row)
                logits = theirs.read_prompt(ids)
                run = (lambda: theirs.read_prompt(ids)) if row == "prompt" else (lambda: theirs.decode(logits))
                times.append((seconds, timed(run)))
            lathe, other = (statistics.median(side) for side in zip(*times))
            print(f"{kind}, {row}: lathe {tokens / lathe:.0f} tokens/s, llama.cpp {tokens / other:.0f} tokens/s, ratio "
                  f"{other / lathe:.2f}", flush=True)
        ours.close()
        theirs.close()


QUESTION = "The capital of France is"


def generate(path, tokens):
    return [f"{root}/build/release/lathe", "generate", path, "--prompt", QUESTION, "--max-tokens", str(tokens), "--temperature",
            "0", "--json", "--dtype", "bf16"]


def load(kinds, rounds):
    """Of lathe the whole program, of llama.cpp the model, a context, the prompt's tokens and a step."""
    for kind in kinds:
        path, answers = file_of(kind), []

        def lathe():
            done = subprocess.run(generate(path, 1), env=ENVIRONMENT, check=True, capture_output=True)
            answers.append(json.loads(done.stdout)["text"])

        def other():
            model = Peer(path)
            token = model.decode(model.read_prompt(model.ids_of(QUESTION)), 1)[0]
            text = ctypes.create_string_buffer(64)
            peer.llama_token_to_piece(model.vocabulary, token, text, 64, 0, False)
            answers.append(text.value.decode())
            model.close()

        lathe(), other()
        assert answers[0] == answers[1], answers
        times = [(timed(lathe), timed(other)) for _ in range(rounds)]
        ours, theirs = (statistics.median(side) for side in zip(*times))
        print(f"{kind}, load to first token ({answers[0]!r}): lathe {ours:.3f} s, llama.cpp {theirs:.3f} s, ratio "
              f"{ours / theirs:.2f}", flush=True)


def watched():
    """In a child: one priority below this process, which would otherwise wait for its threads to end."""
    if os.sched_getscheduler(0) == os.SCHED_FIFO:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(max(os.sched_getparam(0).sched_priority - 1, 1)))


def memory(kinds, folder):
    """The most that `lathe generate` holds of its own, beside what is planned."""
    for kind in kinds:
        path, tokens = file_of(kind), 256
        process = subprocess.Popen(generate(path, tokens), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   preexec_fn=watched)
        most = mapped = 0
        while process.poll() is None:
            lines = [line.split() for line in open(f"/proc/{process.pid}/status")]
            now = {line[0]: int(line[1]) for line in lines if line[0] in ("RssAnon:", "RssFile:")}
            if now.get("RssAnon:", 0) >= most:
                most, mapped = now["RssAnon:"], now["RssFile:"]
            time.sleep(0.002)
        theirs = Peer(path)
        ids = theirs.ids_of(QUESTION)
        theirs.close()
        ours = Lathe(path, ids, folder, tokens)
        planned = (ours.result["weights"] + ours.result["kv_cache"]) / 1024
        ours.close()
        print(f"{kind}, memory: RssAnon {most / 1024:.1f} MiB, prepared weights and cache {planned / 1024:.1f} MiB, "
              f"ratio {most / planned:.2f}; mapped files then {mapped / 1024:.1f} MiB", flush=True)


def scored_by_peer(path, text, chunks):
    """As llama-perplexity: of each 512 tokens, of which the first is the begin token where there is one, the last half."""
    model = Peer(path, length=PROMPT)
    raw = text.encode()
    ids = (peer.llama_token * len(raw))()
    count = peer.llama_tokenize(model.vocabulary, raw, len(raw), ids, len(ids), True, False)
    assert count >= (chunks + 1) * PROMPT or chunks == 0, f"{count} tokens are too few"
    chunks = chunks or count // PROMPT
    batch, sums = peer.llama_batch_init(PROMPT, 0, 1), []
    for chunk in range(chunks):
        tokens = ids[chunk * PROMPT:(chunk + 1) * PROMPT]
        if peer.llama_vocab_get_add_bos(model.vocabulary):
            tokens[0] = peer.llama_vocab_bos(model.vocabulary)
        peer.llama_memory_clear(peer.llama_get_memory(model.context), True)
        batch.n_tokens = PROMPT
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, i, 1, 0
            batch.logits[i] = i >= PROMPT // 2
        assert peer.llama_decode(model.context, batch) == 0
        for i in range(PROMPT // 2, PROMPT - 1):
            row = numpy.ctypeslib.as_array(peer.llama_get_logits_ith(model.context, i), (model.size,)).astype(numpy.float64)
            sums.append(row.max() + numpy.log(numpy.exp(row - row.max()).sum()) - row[tokens[i + 1]])
    end = peer.llama_detokenize(model.vocabulary, ids, chunks * PROMPT, None, 0, True, False)
    model.close()
    return numpy.exp(numpy.mean(sums)), chunks, -end


def perplexity(paths, text, chunks, folder):
    whole = open(text, newline="").read()
    for path in paths:
        theirs, scored, size = scored_by_peer(path, whole[:chunks * PROMPT * 8] if chunks else whole, chunks)
        print(f"{os.path.basename(path)}, {scored} chunks: llama.cpp {theirs:.4f}", flush=True)
        text_bytes = whole.encode()[:size + 1000] if chunks else whole.encode()  # some hundred tokens more, no chunk
        open(f"{folder}/text.txt", "wb").write(text_bytes)
        for dtype in ("f32", "bf16"):
            done = subprocess.run([f"{root}/build/release/lathe", "evaluate", "perplexity", path, f"{folder}/text.txt", "--protocol",
                                   "llama.cpp", "--dtype", dtype, "--json"], env=ENVIRONMENT, check=True, capture_output=True)
            ours = json.loads(done.stdout)
            assert ours["tokens"] == scored * (PROMPT // 2 - 1), (ours["tokens"], scored)
            print(f"{os.path.basename(path)}, {scored} chunks: lathe {dtype} {ours['perplexity']:.4f}, llama.cpp {theirs:.4f}, "
                  f"{100 * (ours['perplexity'] / theirs - 1):+.2f} %", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", default=["load", "decode", "prompt", "memory"])
    parser.add_argument("--types", default="q4_0,q4_1,q8_0,q4_k_m,f16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--text", default=f"{root}/../shared/data/wikitext2/wiki.test.raw")
    arguments = parser.parse_args()
    kinds = arguments.types.split(",")
    silent = peer.llama_log_callback(lambda level, text, data: None)
    peer.llama_log_set(silent, ctypes.c_void_p(0))
    peer.llama_backend_init()
    with tempfile.TemporaryDirectory() as folder:
        if "load" in arguments.rows:
            load(kinds, arguments.rounds)
        if "decode" in arguments.rows or "prompt" in arguments.rows:
            speed(kinds, arguments.rows, arguments.rounds, folder)
        if "memory" in arguments.rows:
            memory(kinds, folder)
        if "perplexity" in arguments.rows:
            perplexity([file_of(kind) for kind in kinds] + [f"{root}/build/models/gemma-3-270m-q4_k_m.gguf"], arguments.text,
                       arguments.chunks, folder)


main()
