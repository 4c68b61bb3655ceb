"""Makes tests/models/fixtures: for each kind of model a tiny one with random weights, and what transformers makes of it.

    build/peers/bin/python tests/models/make_fixtures.py [KIND ...]

A fixture holds config.json and model.safetensors (weights that bf16 holds exactly) as transformers writes them, and
expected.json, computed in f32: the tokens of two sequences; the logits of each; the tokens that greedy decoding with a
cache puts behind the longer one; the mean loss of the longer one, and of its gradient by each tensor of the file the norm
and the product with cos(0.7 i + 1), i counting the elements of [out, in] row by row.
"""

import inspect
import json
import math
import os
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

VOCABULARY = 48
SMALL = dict(vocab_size=VOCABULARY, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=32, bos_token_id=None, eos_token_id=None,
             pad_token_id=None)


def llama(**more):
    return transformers.LlamaForCausalLM, transformers.LlamaConfig(**{**SMALL, "rope_theta": 500.0, **more})


def scaled(**rope):
    return llama(rope_parameters={"rope_theta": 500.0, "original_max_position_embeddings": 8, **rope})


def without(fields, *names):
    return {name: value for name, value in fields.items() if name not in names}


def mistral():
    return transformers.MistralForCausalLM, transformers.MistralConfig(**SMALL, sliding_window=4)


def mixtral():
    return transformers.MixtralForCausalLM, transformers.MixtralConfig(**dict(SMALL, intermediate_size=16), num_local_experts=4,
                                                                       num_experts_per_tok=2)


def qwen2():
    fields = dict(without(SMALL, "head_dim"), hidden_size=32, use_sliding_window=True, sliding_window=4,
                  max_window_layers=1, tie_word_embeddings=True)
    return transformers.Qwen2ForCausalLM, transformers.Qwen2Config(**fields)


def qwen3():
    return transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**SMALL, tie_word_embeddings=True)


def gemma():
    return transformers.GemmaForCausalLM, transformers.GemmaConfig(**SMALL)


def gemma2():
    return transformers.Gemma2ForCausalLM, transformers.Gemma2Config(
        **SMALL, sliding_window=4, query_pre_attn_scalar=12, attn_logit_softcapping=4.0, final_logit_softcapping=6.0)


def gemma3():
    return transformers.Gemma3ForCausalLM, transformers.Gemma3TextConfig(
        **SMALL, sliding_window=4, query_pre_attn_scalar=12, layer_types=["sliding_attention", "full_attention"],
        rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})


def phi3():
    fields = dict(without(SMALL, "head_dim"), hidden_size=32, original_max_position_embeddings=8, sliding_window=12)
    pairs = 3  # of 6 values of 8
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75,
            "short_factor": [1.0, 1.25, 1.5], "long_factor": [1.0, 3.0, 8.0][:pairs]}
    return transformers.Phi3ForCausalLM, transformers.Phi3Config(**fields, rope_parameters=rope)


def gpt2():
    return transformers.GPT2LMHeadModel, transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=24, n_layer=2, n_head=4, n_positions=32, bos_token_id=None, eos_token_id=None)


def gptj():
    return transformers.GPTJForCausalLM, transformers.GPTJConfig(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=32, n_inner=32, rotary_dim=4,
        bos_token_id=None, eos_token_id=None)


def gpt_neox(**more):
    fields = dict(without(SMALL, "head_dim", "num_key_value_heads"), hidden_size=32)
    return transformers.GPTNeoXForCausalLM, transformers.GPTNeoXConfig(**fields, **more)


def opt(**more):
    return transformers.OPTForCausalLM, transformers.OPTConfig(
        vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=2, ffn_dim=32, num_attention_heads=4,
        max_position_embeddings=32, dropout=0.0, bos_token_id=None, eos_token_id=None, pad_token_id=1, **more)


def bloom():
    return transformers.BloomForCausalLM, transformers.BloomConfig(
        vocab_size=VOCABULARY, hidden_size=24, n_layer=2, n_head=3, bos_token_id=None, eos_token_id=None)


def falcon(**more):
    return transformers.FalconForCausalLM, transformers.FalconConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32,
        ffn_hidden_size=32, bos_token_id=None, eos_token_id=None, **more)


KINDS = {
    "gpt2": gpt2,
    "gptj": gptj,
    "gpt_neox": gpt_neox,
    "gpt_neox_sequential": lambda: gpt_neox(use_parallel_residual=False, tie_word_embeddings=True),
    "opt": opt,
    "opt_norms_behind": lambda: opt(do_layer_norm_before=False, word_embed_proj_dim=16),
    "bloom": bloom,
    "falcon": falcon,
    "falcon_new": lambda: falcon(new_decoder_architecture=True, num_kv_heads=2),
    "falcon_alibi": lambda: falcon(alibi=True, multi_query=False, parallel_attn=False, bias=True),
    "llama": lambda: llama(attention_bias=True, mlp_bias=True),
    "llama_linear": lambda: llama(attention_bias=True, mlp_bias=True,
                                  rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}),
    "llama_dynamic": lambda: llama(attention_bias=True, mlp_bias=True, max_position_embeddings=8,
                                   rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 500.0}),
    "llama_llama3": lambda: llama(attention_bias=True, mlp_bias=True, rope_parameters={
        "rope_type": "llama3", "factor": 4.0, "rope_theta": 500.0, "original_max_position_embeddings": 8,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0}),
    "llama_yarn": lambda: llama(attention_bias=True, mlp_bias=True, rope_parameters={
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 500.0, "original_max_position_embeddings": 8,
        "beta_fast": 4.0, "beta_slow": 0.5}),
    "mistral": mistral,
    "mixtral": mixtral,
    "qwen2": qwen2,
    "qwen3": qwen3,
    "gemma": gemma,
    "gemma2": gemma2,
    "gemma3_text": gemma3,
    "phi3": phi3,
}

WEIGHTS_OF = {kind: "llama" for kind in KINDS if kind.startswith("llama_")}  # others have their own
GROWS = {"llama_dynamic"}  # transformers turns keys in the cache as the text was when they came: not comparable
SEQUENCES = [[(i * 37 + 11) % VOCABULARY for i in range(5)], [(i * 29 + 5) % VOCABULARY for i in range(14)]]
NEW_TOKENS = 8


def randomize(model):
    """Weights that bf16 holds, large enough that every part counts."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.dim() > 1:
                parameter.normal_(std=0.9 / math.sqrt(parameter.shape[-1]))
            else:
                parameter.normal_(mean=0.1 if name.endswith("bias") or "gemma" in model.config.model_type else 0.8, std=0.3)
            parameter.copy_(parameter.bfloat16().float())


def rounded(values):
    return [float(f"{value:.8g}") for value in values]


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def check_padding(model, alone):
    """The same logits from a padded batch: what packing stands for here."""
    longest = max(map(len, SEQUENCES))
    ids = torch.tensor([[0] * (longest - len(s)) + s for s in SEQUENCES])
    mask = torch.tensor([[0] * (longest - len(s)) + [1] * len(s) for s in SEQUENCES])
    with torch.no_grad():
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        batch = model(ids, attention_mask=mask, **({"position_ids": positions} if takes_positions else {})).logits
    for s, logits in enumerate(alone):
        difference = (batch[s, longest - len(SEQUENCES[s]):] - logits).abs().max().item()
        assert difference < 1e-4 * logits.abs().max().item(), f"padding changes logits by {difference}"


def gradient_checks(model, kind):
    """By the names of files, which transformers may have other tensors for."""
    model.zero_grad()
    ids = torch.tensor([SEQUENCES[1]])
    logits = model(ids).logits[0, :-1]
    loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:])
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.grad if parameter.grad is not None else torch.zeros_like(parameter))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        gradients = load_file(os.path.join(folder, "model.safetensors"))
    checks = {}
    for name, gradient in sorted(gradients.items()):
        if kind == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            gradient = gradient.T
        flat = gradient.double().flatten()
        wave = torch.cos(0.7 * torch.arange(len(flat), dtype=torch.float64) + 1)
        checks[name] = rounded([flat.norm().item(), (flat * wave).sum().item()])
    return loss.item(), checks


def make(kind, folder):
    model_class, config = KINDS[kind]()
    # the eager attention of Falcon adds ALiBi twice: in its mask and to its scores
    config._attn_implementation = "sdpa" if kind.startswith("falcon") else "eager"
    torch.manual_seed(sum(map(ord, WEIGHTS_OF.get(kind, kind))))
    model = model_class(config).float().eval()
    randomize(model)
    if hasattr(model, "generation_config"):
        model.generation_config.pad_token_id = None
    os.makedirs(folder, exist_ok=True)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.bfloat16().save_pretrained(folder)
    for extra in ("generation_config.json",) + (("model.safetensors",) if kind in WEIGHTS_OF else ()):
        if os.path.exists(os.path.join(folder, extra)):
            os.remove(os.path.join(folder, extra))
    model = model_class(config).float().eval()  # anew: bf16 has rounded the frequencies of positions too
    model.load_state_dict(weights)
    alone = [logits_of(model, ids) for ids in SEQUENCES]
    if kind not in GROWS and kind != "phi3":
        check_padding(model, alone)
    expected = {"transformers": transformers.__version__, "sequences": SEQUENCES,
                "logits": [rounded(logits.flatten().tolist()) for logits in alone]}
    if kind in WEIGHTS_OF:
        expected["weights"] = WEIGHTS_OF[kind]
    if kind not in GROWS:
        prompt = torch.tensor([SEQUENCES[1]])
        made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW_TOKENS,
                              do_sample=False, eos_token_id=None, pad_token_id=0)
        expected["greedy"] = made[0, len(SEQUENCES[1]):].tolist()
    expected["loss"], expected["gradients"] = gradient_checks(model, kind)
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(expected, file, separators=(",", ":"))
        file.write("\n")


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
    transformers.utils.logging.disable_progress_bar()
    for kind in sys.argv[1:] or KINDS:
        make(kind, os.path.join(folder, kind))
        size = sum(os.path.getsize(os.path.join(folder, kind, name)) for name in os.listdir(os.path.join(folder, kind)))
        print(f"{kind}: {size / 1000:.0f} KB", flush=True)


main()
