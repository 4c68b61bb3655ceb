"""Makes tests/files/adapter_fixtures: LoRAs with random weights that PEFT saved for models of tests/models/fixtures, and
the logits that it computes with them.

    build/peers/bin/python tests/files/make_adapter_fixtures.py [KIND ...]

A fixture holds adapter_config.json and adapter_model.safetensors as PEFT writes them, and expected.json: the base model,
and the logits (in f32) of the last of its sequences.
"""

import json
import os
import sys
import tempfile

import peft
import torch
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "models", "fixtures")
OUT = os.path.join(HERE, "adapter_fixtures")

KINDS = {
    "patterns": ("llama", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj"],
                               rank_pattern={"v_proj": 2, "layers.1.mlp.gate_proj": 3}, alpha_pattern={"down_proj": 3})),
    "rslora": ("llama", dict(r=4, lora_alpha=4, use_rslora=True,
                             target_modules=r".*\.layers\.1\.(self_attn\.(k|o)_proj|mlp\.up_proj)")),
    "transposed": ("gpt2", dict(r=3, lora_alpha=6, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, bias="all")),
    "interleaved": ("gpt_neox", dict(r=2, lora_alpha=4, target_modules=["query_key_value", "dense_h_to_4h"],
                                     layers_to_transform=[0], layers_pattern="layers")),
    "fused": ("phi3", dict(r=2, lora_alpha=2, target_modules=["qkv_proj", "gate_up_proj", "o_proj"],
                            modules_to_save=["lm_head"])),
    "headless": ("llama", dict(r=2, lora_alpha=2, target_modules=["q_proj"])),
    "table": ("llama", dict(r=2, lora_alpha=2, target_modules=["embed_tokens", "v_proj", "lm_head"])),
    "dora": ("llama", dict(r=2, lora_alpha=2, use_dora=True, target_modules=["q_proj", "o_proj", "up_proj"])),
}


def make(kind):
    base, options = KINDS[kind]
    torch.manual_seed(len(kind))
    model = transformers.AutoModelForCausalLM.from_pretrained(os.path.join(MODELS, base), dtype=torch.float32,
                                                              attn_implementation="eager")
    adapted = peft.get_peft_model(model.model if kind == "headless" else model, peft.LoraConfig(**options))
    for name, parameter in adapted.named_parameters():
        if "lora_magnitude" in name:
            parameter.data *= 1 + 0.3 * torch.rand_like(parameter)
        elif parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    folder = os.path.join(OUT, kind)
    with tempfile.TemporaryDirectory() as temporary:
        adapted.save_pretrained(temporary, save_embedding_layers=False)
        os.makedirs(folder, exist_ok=True)
        os.replace(os.path.join(temporary, "adapter_model.safetensors"), os.path.join(folder, "adapter_model.safetensors"))
        config = json.load(open(os.path.join(temporary, "adapter_config.json")))
    config["base_model_name_or_path"] = base
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump(config, file, indent=1)
    tokens = json.load(open(os.path.join(MODELS, base, "expected.json")))["sequences"][-1]
    with torch.no_grad():
        logits = (model if kind == "headless" else adapted).eval()(torch.tensor([tokens])).logits[0]
        for module in model.modules():
            if hasattr(module, "disable_adapters"):
                module._disable_adapters = True
        plain = model.eval()(torch.tensor([tokens])).logits[0]
    assert (logits - plain).abs().max() > 0.05 * plain.abs().max(), "the adapter changes too little to show"
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump({"base": base, "logits": [float(f"{x:.7g}") for x in logits.flatten().tolist()]}, file)
    print(kind)


for kind in sys.argv[1:] or KINDS:
    make(kind)
