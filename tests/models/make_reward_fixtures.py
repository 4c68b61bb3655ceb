"""Makes tests/models/reward_fixtures: tiny decoders with random weights that give texts a reward, and what transformers makes
of them.

    build/peers/bin/python tests/models/make_reward_fixtures.py [KIND ...]

A fixture holds config.json, model.safetensors (numbers that bf16 holds exactly) and expected.json, computed in f32 from a
padded batch of two texts: the reward of each; the loss -log sigmoid(first - second); and of its gradient by each tensor of
the file the norm and the product with cos(0.7 i + 1), i counting the elements of [out, in] row by row.
"""

import json
import math
import os
import sys

import torch
import transformers
from safetensors.torch import save_file

VOCABULARY, PADDING = 40, 3
SEQUENCES = [[(i * 29 + 5) % (VOCABULARY - 4) + 4 for i in range(6)], [(i * 37 + 11) % (VOCABULARY - 4) + 4 for i in range(11)]]
COMMON = dict(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=None, pad_token_id=PADDING, num_labels=1)
SMALL = dict(COMMON, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=16)

KINDS = {
    "llama": lambda: transformers.LlamaConfig(**SMALL),
    "mistral": lambda: transformers.MistralConfig(**SMALL, head_dim=4, sliding_window=4),
    "qwen2": lambda: transformers.Qwen2Config(**SMALL),
    "gemma": lambda: transformers.GemmaConfig(**SMALL, head_dim=8),
    "gpt2": lambda: transformers.GPT2Config(**COMMON, n_embd=16, n_layer=2, n_head=2, n_positions=16, resid_pdrop=0.0,
                                            embd_pdrop=0.0, attn_pdrop=0.0),
    "opt": lambda: transformers.OPTConfig(**COMMON, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=2,
                                          max_position_embeddings=16, word_embed_proj_dim=12, do_layer_norm_before=True,
                                          dropout=0.0, attention_dropout=0.0),
    "gptj": lambda: transformers.GPTJConfig(**COMMON, n_embd=16, n_layer=2, n_head=2, n_positions=16, rotary_dim=4, resid_pdrop=0.0,
                                            embd_pdrop=0.0, attn_pdrop=0.0),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**COMMON, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                                                   num_attention_heads=2, max_position_embeddings=16, hidden_dropout=0.0,
                                                   attention_dropout=0.0, rotary_pct=0.5),
    "bloom": lambda: transformers.BloomConfig(**COMMON, hidden_size=16, n_layer=2, n_head=4, hidden_dropout=0.0, attention_dropout=0.0),
    "falcon": lambda: transformers.FalconConfig(**COMMON, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, alibi=False,
                                                multi_query=True, parallel_attn=True, bias=False),
    "qwen3": lambda: transformers.Qwen3Config(**SMALL, head_dim=8),
    "gemma2": lambda: transformers.Gemma2Config(**SMALL, head_dim=8, sliding_window=4),
    "gemma3_text": lambda: transformers.Gemma3TextConfig(**SMALL, head_dim=8, sliding_window=4),
    "phi3": lambda: transformers.Phi3Config(**SMALL),
}


def randomize(model):
    """Weights that bf16 holds, large enough that every part counts."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.dim() > 1:
                parameter.normal_(std=0.9 / math.sqrt(parameter.shape[-1]))
            else:
                parameter.normal_(mean=0.1 if name.endswith("bias") else 0.8, std=0.3)
            parameter.copy_(parameter.bfloat16().float())


def rounded(values):
    return [float(f"{value:.7g}") for value in values]


def checks_of(model, kind):
    checks = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.double()
        if kind == "gpt2" and gradient.dim() == 2 and ".h." in name:
            gradient = gradient.T  # Conv1D: [in, out]
        flat = gradient.flatten()
        wave = torch.cos(0.7 * torch.arange(len(flat), dtype=torch.float64) + 1)
        checks[name] = rounded([flat.norm().item(), (flat * wave).sum().item()])
    return checks


def make(kind, folder):
    config = KINDS[kind]()
    config._attn_implementation = "eager"
    torch.manual_seed(sum(map(ord, kind)))
    model = transformers.AutoModelForSequenceClassification.from_config(config).float().eval()
    randomize(model)
    longest = max(map(len, SEQUENCES))
    rewards = model(input_ids=torch.tensor([s + [PADDING] * (longest - len(s)) for s in SEQUENCES]),
                    attention_mask=torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in SEQUENCES])).logits[:, 0]
    loss = -torch.nn.functional.logsigmoid(rewards[0] - rewards[1])
    loss.backward()
    os.makedirs(folder, exist_ok=True)
    save_file({name: parameter.detach().bfloat16() for name, parameter in model.named_parameters()},
              os.path.join(folder, "model.safetensors"))
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    expected = {"transformers": transformers.__version__, "sequences": SEQUENCES, "rewards": rounded(rewards.tolist()),
                "loss": loss.item(), "gradients": checks_of(model, kind)}
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(expected, file, separators=(",", ":"))
        file.write("\n")


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reward_fixtures")
    for kind in sys.argv[1:] or KINDS:
        make(kind, os.path.join(folder, kind))
        size = sum(os.path.getsize(os.path.join(folder, kind, name)) for name in os.listdir(os.path.join(folder, kind)))
        print(f"{kind}: {size / 1000:.0f} KB", flush=True)


main()
