"""FP8 products for the peer of row 4b: E4M3 forward, E5M2 gradients, current scaling of whole tensors, as torchao does."""
import torch


def to_fp8(x, dtype):
    """x in `dtype` and the factor that brings it back."""
    scale = x.abs().amax().float().clamp(min=1e-12) / torch.finfo(dtype).max
    return (x.float() / scale).to(dtype), scale


def product(a, a_scale, b, b_scale, fast):
    """a [m, k] times the transpose of b [n, k], both of contiguous rows."""
    return torch._scaled_mm(a, b.t(), scale_a=a_scale, scale_b=b_scale, out_dtype=torch.bfloat16, use_fast_accum=fast)


class Fp8Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        x8, x_scale = to_fp8(x, torch.float8_e4m3fn)
        w8, w_scale = to_fp8(weight, torch.float8_e4m3fn)
        ctx.save_for_backward(x8, x_scale, w8, w_scale)
        return product(x8, x_scale, w8, w_scale, fast=True)

    @staticmethod
    def backward(ctx, dy):
        x8, x_scale, w8, w_scale = ctx.saved_tensors
        dy8, dy_scale = to_fp8(dy, torch.float8_e5m2)
        dx = product(dy8, dy_scale, w8.t().contiguous(), w_scale, fast=False)
        dweight = product(dy8.t().contiguous(), dy_scale, x8.t().contiguous(), x_scale, fast=False)
        return dx, dweight.float()


def linear(x, weight, bias=None):
    y = Fp8Product.apply(x.to(torch.bfloat16).flatten(0, -2), weight).unflatten(0, x.shape[:-1])
    return y if bias is None else y + bias
