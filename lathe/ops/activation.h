#pragma once

#include <string_view>

#include "lathe/tensor/kernel.h"

namespace lathe {

/// gelu: x * Phi(x); gelu_tanh: its tanh approximation (Hendrycks and Gimpel 2016); quick_gelu: x * sigmoid(1.702 x);
/// silu: x * sigmoid(x); tanh: as it says.
enum class Activation : uint8_t { gelu, gelu_tanh, quick_gelu, silu, relu, tanh };

/// Counted for an element: an exponential and its surroundings, an estimate.
constexpr int64_t kActivationFlops = 10;

/// By Hugging Face's `hidden_act`: gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish, relu, tanh. Throws
/// Error.
Activation activation_named(std::string_view name);

/// activation(x) of one number, as plain kernels compute it.
float activation_of(Activation activation, float x);

/// y = activation(x); floating, one type and shape. y may be x.
constinit inline Kernel<void(const Tensor& x, Activation activation, Tensor& y)> activate_kernel{"activate"};
/// dx = dy * activation'(x). dx may be dy or x.
constinit inline Kernel<void(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx)>
    activate_backward_kernel{"activate_backward"};
/// y [rows, n] = activation(x's first n columns) * x's last n columns.
constinit inline Kernel<void(const Tensor& x, Activation activation, Tensor& y)> gated_activate_kernel{
    "gated_activate"};
/// dx [rows, 2n]; may be x.
constinit inline Kernel<void(const Tensor& x, const Tensor& dy, Activation activation, Tensor& dx)>
    gated_activate_backward_kernel{"gated_activate_backward"};

/// activation(x), element by element; in the bytes of x where it was moved here, no one else holds them, and no tape
/// needs them. Differentiable. Keeps x; the output can be dropped and recomputed.
Tensor activate(Tensor x, Activation activation);

/// Gated unit (Shazeer 2020): activation(gate) * up, where gate and up are the halves of each row.
///   gate_up floating [rows, 2n] -> [rows, n]
/// Differentiable. Keeps gate_up; the output can be dropped and recomputed.
Tensor gated_activate(const Tensor& gate_up, Activation activation);

}  // namespace lathe
