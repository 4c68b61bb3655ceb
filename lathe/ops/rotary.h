#pragma once

#include <string>
#include <vector>

#include "lathe/tensor/kernel.h"

namespace lathe {

/// Rotary positions (Su et al. 2021) as a model states them; names and meanings of Hugging Face's `rope_theta` and
/// `rope_scaling`. Values only.
struct RotarySpec {
  int64_t dims = 0;          ///< how many leading values of a head are rotated, even; 0: none
  float theta = 10000;       ///< longest wavelength / 2 pi
  bool interleaved = false;  ///< pairs (2i, 2i + 1) as in GPT-J; otherwise (i, i + dims / 2)
  std::string scaling;       ///< "" or "default", "linear", "dynamic", "llama3", "yarn", "longrope"
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  ///< llama3
  double beta_fast = 32, beta_slow = 1;              ///< yarn
  double attention_factor =
      0;  ///< yarn; 0: 0.1 ln(factor) + 1. longrope; 0: sqrt(1 + ln(factor) / ln(original length))
  int64_t original_max_position_embeddings = 8192;  ///< all but linear
  std::vector<double> short_factor, long_factor;    ///< longrope: what each pair's frequency is divided by
  int64_t longest = 0;  ///< dynamic, longrope: the sequences reach so far (see for_length())
};

/// `spec` for sequences of up to `longest` tokens: "dynamic" and "longrope" turn all of them, from the first token on,
/// as the longest needs it.
RotarySpec for_length(const RotarySpec& spec, int64_t longest);

/// x's first `rotated_heads` heads of each token rotated (or rotated back) into out, which may be x; the other heads
/// are copied. `table` is workspace: f32 [tokens + 2, dims]; empty on a GPU, which recomputes cosines and sines.
constinit inline Kernel<void(const Tensor& x, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec,
                             bool back, Tensor& out, Tensor& table)>
    rotary_kernel{"rotary"};

/// Rotates the first `rotated_heads` heads by their token's position.
///   qkv [tokens, heads, head_dim] f32 or bf16, positions i32 [tokens] -> like qkv
/// On a GPU positions were written before this step began: they are read before earlier kernels end.
/// Throws Error for odd or too large `dims`, shapes that do not fit, or an unknown scaling.
/// Differentiable. Overwrites qkv and returns it when qkv is unique() and no leaf: use only what is returned.
Tensor rotary(const Tensor& qkv, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec);

/// Throws what rotary() throws.
void check_rotary(const Tensor& qkv, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec);

/// Angle by which pair `pair` turns from one position to the next, in radians.
double rotary_frequency(const RotarySpec& spec, int64_t pair);
/// What cosine and sine are multiplied by: 1 except for yarn and longrope.
double rotary_magnitude(const RotarySpec& spec);

}  // namespace lathe
