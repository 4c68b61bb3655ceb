"""The peer of training: GPT-2 and LLaMA as plain PyTorch functions with fused attention, over the weights that
training_bench writes. bench/training.py runs them on a CPU, bench/gpu_training.py on a GPU."""
import json

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file


class Peer:
    """A job of FOLDER on `device`: its weights as parameters of `dtype`, its loss and its optimizer. `linear` multiplies
    all matrices of the layers, F.linear or a replacement; the head is always F.linear. `padded`: the head's matrix gets
    rows of zeros up to a multiple of 64, whose logits are cut off, for the sake of tensor cores."""

    def __init__(self, folder, device="cpu", linear=F.linear, padded=False, dtype=torch.float32):
        self.job, self.config = (json.load(open(f"{folder}/{name}.json")) for name in ("job", "config"))
        self.device, self.linear, self.padded, self.dtype = device, linear, padded, dtype
        weights = load_file(f"{folder}/model.safetensors", device=device)
        if self.config["model_type"] == "gpt2":  # its files hold [in, out]
            turn = lambda name, value: value.t().contiguous() if self.is_convolution(name) else value
            weights = {name: turn(name, value) for name, value in weights.items()}
        self.parameters = {name: torch.nn.Parameter(value.to(dtype, copy=True)) for name, value in weights.items()}
        self.model = {"gpt2": self.gpt2, "llama": self.llama}[self.config["model_type"]]

    @staticmethod
    def is_convolution(name):
        return name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight"))

    def gpt2(self, ids):
        p = lambda name: self.parameters["transformer." + name]
        heads, eps = self.config["n_head"], self.config["layer_norm_epsilon"]
        rows, length = ids.shape
        x = p("wte.weight")[ids] + p("wpe.weight")[:length]
        norm = lambda x, name: F.layer_norm(x, x.shape[-1:], p(name + ".weight"), p(name + ".bias"), eps)
        linear = lambda x, name: self.linear(x, p(name + ".weight"), p(name + ".bias"))
        for layer in range(self.config["n_layer"]):
            h = f"h.{layer}."
            q, k, v = (t.view(rows, length, heads, -1).transpose(1, 2)
                       for t in linear(norm(x, h + "ln_1"), h + "attn.c_attn").chunk(3, -1))
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(rows, length, -1)
            x = x + linear(a, h + "attn.c_proj")
            x = x + linear(F.gelu(linear(norm(x, h + "ln_2"), h + "mlp.c_fc"), approximate="tanh"), h + "mlp.c_proj")
        return self.head(norm(x, "ln_f"), p("wte.weight"))

    def llama(self, ids):
        config, p = self.config, lambda name: self.parameters["model." + name]
        heads, kv_heads, dim = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
        rows, length = ids.shape
        each = torch.arange(0, dim, 2, dtype=torch.float64, device=self.device)
        frequencies = config["rope_theta"] ** (-each / dim)
        places = torch.arange(length, dtype=torch.float64, device=self.device)
        angles = places[:, None] * torch.cat([frequencies, frequencies])
        cos, sin = angles.cos().to(self.dtype), angles.sin().to(self.dtype)

        def rotary(x):
            half = x.shape[-1] // 2
            return (x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin).to(x.dtype)

        norm = lambda x, name: F.rms_norm(x, x.shape[-1:], p(name + ".weight"), config["rms_norm_eps"])
        x = p("embed_tokens.weight")[ids]
        for layer in range(config["num_hidden_layers"]):
            h = f"layers.{layer}."
            n = norm(x, h + "input_layernorm")
            split = lambda name, count: self.linear(n, p(h + f"self_attn.{name}_proj.weight")).view(
                rows, length, count, dim).transpose(1, 2)
            a = F.scaled_dot_product_attention(rotary(split("q", heads)), rotary(split("k", kv_heads)),
                                               split("v", kv_heads), is_causal=True, enable_gqa=heads != kv_heads)
            x = x + self.linear(a.transpose(1, 2).reshape(rows, length, -1), p(h + "self_attn.o_proj.weight"))
            n = norm(x, h + "post_attention_layernorm")
            n = F.silu(self.linear(n, p(h + "mlp.gate_proj.weight"))) * self.linear(n, p(h + "mlp.up_proj.weight"))
            x = x + self.linear(n, p(h + "mlp.down_proj.weight"))
        head = self.parameters.get("lm_head.weight", self.parameters["model.embed_tokens.weight"])
        return self.head(norm(x, "norm"), head)

    def head(self, x, weight):
        if not self.padded:
            return F.linear(x, weight)
        return F.linear(x, F.pad(weight, (0, 0, 0, -len(weight) % 64)))[..., :len(weight)]

    def loss(self, ids, targets):
        with torch.autocast(self.device, torch.bfloat16, enabled=self.job["bf16"] and self.dtype == torch.float32):
            return F.cross_entropy(self.model(ids).to(self.dtype).flatten(0, 1), targets.flatten())

    def optimizer(self):
        matrices = [p for p in self.parameters.values() if p.dim() > 1]
        vectors = [p for p in self.parameters.values() if p.dim() == 1]
        return torch.optim.AdamW([{"params": matrices, "weight_decay": self.job["weight_decay"]},
                                  {"params": vectors, "weight_decay": 0.0}],
                                 betas=tuple(self.job["betas"]), eps=self.job["epsilon"], fused=True)

    def batches(self, folder):
        """[steps, micro-batches, rows, sequence_length + 1] tokens."""
        job = self.job
        tokens = numpy.fromfile(f"{folder}/batches.i32", dtype=numpy.int32).astype(numpy.int64)
        shape = job["steps"], job["accumulation"], job["micro_batch"], job["sequence_length"] + 1
        return torch.from_numpy(tokens.reshape(shape))

    def step(self, step, batches, loss_of, optimizer):
        """One update; the step's loss, a tensor."""
        for group in optimizer.param_groups:
            group["lr"] = self.job["learning_rates"][step]
        total = 0.0
        for batch in batches:
            loss = loss_of(batch[:, :-1], batch[:, 1:]) / self.job["accumulation"]
            loss.backward()
            total += loss.detach()
        if self.job["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.job["clip_norm"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total
