"""Makes tests/models/encoder_fixtures of encoder-decoders: tiny models with random weights, and what transformers makes of them.

    build/peers/bin/python tests/models/make_seq2seq_fixtures.py [KIND ...]

A fixture holds config.json and model.safetensors (numbers that bf16 holds exactly), and expected.json, computed in f32:
two sources and two targets; from a padded batch the logits of each target and the mean loss of both, and of its gradient
by each tensor the norm and the product with cos(0.7 i + 1), i counting elements row by row; the tokens that greedy decoding
with a cache writes about each source; and those of beam searches with several options, with their scores. Of "bart" besides,
for other heads on the same weights: the class, its logits about both sources, and with labels the mean loss and its gradient.
"""

import json
import math
import os
import sys

import torch
import transformers
from safetensors.torch import save_file

VOCABULARY = 40
SOURCES = [[(i * 29 + 5) % (VOCABULARY - 4) + 4 for i in range(21)] + [2], [(i * 37 + 11) % (VOCABULARY - 4) + 4 for i in range(6)] + [2]]
TARGETS = [[(i * 23 + 7) % (VOCABULARY - 4) + 4 for i in range(9)] + [2], [(i * 31 + 3) % (VOCABULARY - 4) + 4 for i in range(5)] + [2]]
NEW_TOKENS = 12
SEARCHES = [dict(num_beams=2), dict(num_beams=4), dict(num_beams=4, length_penalty=2.0, early_stopping=True),
            dict(num_beams=3, length_penalty=-1.0, early_stopping="never"),
            dict(num_beams=3, length_penalty=0.5, early_stopping="never", no_repeat_ngram_size=2),
            dict(num_beams=4, no_repeat_ngram_size=1, repetition_penalty=1.3)]


def t5(**more):
    return transformers.T5ForConditionalGeneration, transformers.T5Config(
        vocab_size=VOCABULARY, d_model=16, d_kv=6, d_ff=24, num_layers=3, num_decoder_layers=2, num_heads=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=12, dropout_rate=0.0, eos_token_id=2,
        pad_token_id=0, decoder_start_token_id=0, **more)


def bart(**more):
    return transformers.BartForConditionalGeneration, transformers.BartConfig(
        vocab_size=VOCABULARY, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=32, dropout=0.0,
        bos_token_id=0, eos_token_id=2, pad_token_id=1, decoder_start_token_id=2, forced_eos_token_id=None,
        num_labels=3, **more)


KINDS = {"t5": t5, "flan_t5": lambda: t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
         "bart": bart, "bart_forced": lambda: bart(scale_embedding=True)}
SEEDS = {"t5": 7, "flan_t5": 36, "bart": 20, "bart_forced": 31}  # of models whose texts vary
HEADS = {"bart": {"sequence_labels": transformers.BartForSequenceClassification, "spans": transformers.BartForQuestionAnswering}}
LABELS = [2, 0]
FORCED = {"bart_forced": dict(forced_bos_token_id=5, forced_eos_token_id=2)}


def randomize(model):
    """Weights that bf16 holds, large enough that every part counts and greedy texts are no repetitions."""
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            if parameter.dim() > 1:
                parameter.normal_(std=1.6 / math.sqrt(parameter.shape[-1]))
            else:
                parameter.normal_(mean=0.05 if name.endswith("bias") else 0.8, std=0.1 if name.endswith("bias") else 0.3)
            if "relative_attention_bias" in name or name == "decoder.final_layer_norm.weight":
                parameter.mul_(2)
            if name.endswith("shared.weight"):
                parameter.mul_(0.5)
                parameter[2].mul_(1.3)
            parameter.copy_(parameter.bfloat16().float())


def rounded(values):
    return [float(f"{value:.7g}") for value in values]


def padded(lists, padding):
    longest = max(map(len, lists))
    return torch.tensor([s + [padding] * (longest - len(s)) for s in lists])


def mask_of(lists):
    longest = max(map(len, lists))
    return torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in lists])


def checks_of(model):
    checks = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        flat = gradient.double().flatten()
        wave = torch.cos(0.7 * torch.arange(len(flat), dtype=torch.float64) + 1)
        checks[name] = rounded([flat.norm().item(), (flat * wave).sum().item()])
    return checks


def made(output, start):
    tokens = output[0, 1:].tolist()
    return tokens[:tokens.index(2) + 1] if 2 in tokens else tokens


def head_of(model_class, head, base, config, tensors):
    """What a model with another head makes of the sources; adds the head's tensors, which transformers shifts texts for."""
    config.num_labels = 2 if head == "spans" else 3
    model = model_class(config).float().eval()
    randomize(model)
    model.model.load_state_dict(base.model.state_dict())
    tensors.update({name: parameter.detach().bfloat16() for name, parameter in model.named_parameters()
                    if not name.startswith("model.")})
    output = model(input_ids=padded(SOURCES, config.pad_token_id), attention_mask=mask_of(SOURCES))
    if head == "sequence_labels":
        rows = list(output.logits)
    else:
        rows = [torch.stack([output.start_logits[i, :len(s)], output.end_logits[i, :len(s)]], 1)
                for i, s in enumerate(SOURCES)]
    expected = {"architecture": model_class.__name__, "logits": rounded(torch.cat([row.flatten() for row in rows]).tolist())}
    if head == "sequence_labels":
        loss = torch.nn.functional.cross_entropy(output.logits, torch.tensor(LABELS))
        loss.backward()
        expected.update(labels=LABELS, loss=loss.item(), gradients=checks_of(model))
    return expected


def make(kind, folder):
    model_class, config = KINDS[kind]()
    config._attn_implementation = "eager"
    torch.manual_seed(SEEDS[kind])
    model = model_class(config).float().eval()
    randomize(model)
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.normal_(std=0.3)
        model.final_logits_bias.copy_(model.final_logits_bias.bfloat16().float())
    padding, start = config.pad_token_id, config.decoder_start_token_id
    begun = [[start] + target[:-1] for target in TARGETS]
    output = model(input_ids=padded(SOURCES, padding), attention_mask=mask_of(SOURCES),
                   decoder_input_ids=padded(begun, padding))
    rows = [output.logits[i, :len(target)] for i, target in enumerate(TARGETS)]
    loss = torch.nn.functional.cross_entropy(torch.cat(rows), torch.tensor(sum(TARGETS, [])))
    loss.backward()
    expected = {"transformers": transformers.__version__, "sources": SOURCES, "targets": TARGETS,
                "logits": rounded(torch.cat([row.flatten() for row in rows]).tolist()), "loss": loss.item(),
                "gradients": checks_of(model), "new_tokens": NEW_TOKENS, **FORCED.get(kind, {}), "greedy": [], "searches": []}
    for source in SOURCES:
        ids = torch.tensor([source])
        options = dict(attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False,
                       **FORCED.get(kind, {}))
        expected["greedy"].append(made(model.generate(ids, num_beams=1, **options), start))
        for search in SEARCHES:
            found = model.generate(ids, return_dict_in_generate=True, output_scores=True, **options, **search)
            expected["searches"].append({**search, "source": SOURCES.index(source), "tokens": made(found.sequences, start),
                                         "score": found.sequences_scores[0].item()})
    os.makedirs(folder, exist_ok=True)
    tensors = {name: parameter.detach().bfloat16() for name, parameter in model.named_parameters()}
    if hasattr(model, "final_logits_bias"):
        tensors["final_logits_bias"] = model.final_logits_bias.bfloat16()
    for head, other_class in HEADS.get(kind, {}).items():
        expected.setdefault("heads", {})[head] = head_of(other_class, head, model, config, tensors)
    save_file(tensors, os.path.join(folder, "model.safetensors"))
    config.architectures, config.num_labels = [model_class.__name__], 3
    config.save_pretrained(folder)
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(expected, file, separators=(",", ":"))
        file.write("\n")


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "encoder_fixtures")
    for kind in sys.argv[1:] or KINDS:
        make(kind, os.path.join(folder, kind))
        size = sum(os.path.getsize(os.path.join(folder, kind, name)) for name in os.listdir(os.path.join(folder, kind)))
        print(f"{kind}: {size / 1000:.0f} KB", flush=True)


main()
