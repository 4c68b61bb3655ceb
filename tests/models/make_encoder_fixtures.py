"""Makes tests/models/encoder_fixtures of encoders: tiny models with random weights, and what transformers makes of them.

    build/peers/bin/python tests/models/make_encoder_fixtures.py [KIND ...]

A fixture holds config.json, model.safetensors with the tensors of all heads (numbers that bf16 holds exactly), and
expected.json, computed in f32 from a padded batch of sequences: for each head its class, its logits (of the hidden
rows where it has none), and where it has a loss that and, of its gradient by each tensor, the norm and the product with
cos(0.7 i + 1), i counting elements row by row. The masked language model is asked for the tokens at `masked`. Longformer's
texts are a question, separators, a text; who is global follows from that and the head.
"""

import json
import math
import os
import sys

import torch
import transformers
from safetensors.torch import save_file

VOCABULARY = 40


def tokens(count, step, first):
    return [(i * step + first) % (VOCABULARY - 4) + 4 for i in range(count)]


def question(asked, text, step, first):
    """A question and the text that answers it, as tokenizers of RoBERTa's kind put them together."""
    words = tokens(asked + text, step, first)
    return [0] + words[:asked] + [2, 2] + words[asked:] + [2]


SHORT = {"sequences": [tokens(12, 29, 5), tokens(5, 37, 11)], "types": [[0] * 7 + [1] * 5, [0] * 5],
         "masked": [[1, 4, 10], [3]], "targets": [[8, 13, 21], [30]], "labels": [2, 0]}
LONG = {"sequences": [question(3, 27, 29, 5), question(1, 2, 37, 11), question(6, 2, 23, 3)], "types": [[], [], []],
        "masked": [[1, 4, 10, 30], [3], [2, 11]], "targets": [[8, 13, 21, 5], [30], [17, 9]], "labels": [2, 0, 1]}
SMALL = dict(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
             max_position_embeddings=20, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def bert(**more):
    return "Bert", transformers.BertConfig(**SMALL, **more)


def roberta():
    return "Roberta", transformers.RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)


def distilbert():
    return "DistilBert", transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=20, num_labels=3,
        dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, qa_dropout=0.0)


def longformer():
    return "Longformer", transformers.LongformerConfig(
        **{**SMALL, "max_position_embeddings": 40}, attention_window=[4, 8], type_vocab_size=1, pad_token_id=1,
        sep_token_id=2, layer_norm_eps=1e-5)


TEXTS = {"longformer": LONG}
KINDS = {"bert": bert, "roberta": roberta, "distilbert": distilbert, "longformer": longformer}
HEADS = {"hidden": "Model", "masked_lm": "ForMaskedLM", "sequence_labels": "ForSequenceClassification",
         "token_labels": "ForTokenClassification", "spans": "ForQuestionAnswering"}


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


def batch_of(texts, config, prefix):
    longest = max(map(len, texts["sequences"]))
    padding = config.pad_token_id
    batch = {"input_ids": torch.tensor([s + [padding] * (longest - len(s)) for s in texts["sequences"]]),
             "attention_mask": torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in texts["sequences"]])}
    if prefix == "Bert":
        batch["token_type_ids"] = torch.tensor([t + [0] * (longest - len(t)) for t in texts["types"]])
    return batch


def checks_of(model):
    checks = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        flat = gradient.double().flatten()
        wave = torch.cos(0.7 * torch.arange(len(flat), dtype=torch.float64) + 1)
        checks[name] = rounded([flat.norm().item(), (flat * wave).sum().item()])
    return checks


def expected_of(model, head, texts, batch):
    output = model(**batch)
    lengths = [len(s) for s in texts["sequences"]]
    if head == "hidden":
        rows = [output.last_hidden_state[i, :n] for i, n in enumerate(lengths)]
    elif head == "masked_lm":
        rows = [output.logits[i, texts["masked"][i]] for i in range(len(lengths))]
    elif head == "sequence_labels":
        rows = [output.logits[i] for i in range(len(lengths))]
    elif head == "token_labels":
        rows = [output.logits[i, :n] for i, n in enumerate(lengths)]
    else:
        rows = [torch.stack([output.start_logits[i, :n], output.end_logits[i, :n]], 1) for i, n in enumerate(lengths)]
    expected = {"logits": rounded(torch.cat([row.flatten() for row in rows]).tolist())}
    loss = None
    if head == "masked_lm":
        loss = torch.nn.functional.cross_entropy(torch.cat(rows), torch.tensor(sum(texts["targets"], [])))
    if head == "sequence_labels":
        loss = torch.nn.functional.cross_entropy(torch.stack(rows), torch.tensor(texts["labels"]))
    if loss is not None:
        model.zero_grad()
        loss.backward()
        expected["loss"], expected["gradients"] = loss.item(), checks_of(model)
    return expected


def make(kind, folder):
    prefix, config = KINDS[kind]()
    texts = TEXTS.get(kind, SHORT)
    config._attn_implementation = "eager"
    torch.manual_seed(sum(map(ord, kind)))
    weights, expected = {}, {"transformers": transformers.__version__, **texts, "heads": {}}
    for head in ("masked_lm", "hidden", "sequence_labels", "token_labels", "spans"):
        config.num_labels = 2 if head == "spans" else 3
        model = getattr(transformers, prefix + HEADS[head])(config).float().eval()
        randomize(model)
        known = weights.items() if head != "hidden" else [
            (name.removeprefix(model.base_model_prefix + "."), tensor) for name, tensor in weights.items()]
        model.load_state_dict({name: tensor for name, tensor in known if name in model.state_dict()}, strict=False)
        if head != "hidden":
            for name, parameter in model.named_parameters():
                weights.setdefault(name, parameter.detach().clone())
        expected["heads"][head] = {"architecture": prefix + HEADS[head],
                                   **expected_of(model, head, texts, batch_of(texts, config, prefix))}
    os.makedirs(folder, exist_ok=True)
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, os.path.join(folder, "model.safetensors"))
    config.architectures, config.num_labels = [prefix + "ForMaskedLM"], 3
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
