#include "lathe/ops/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lathe/base/error.h"
#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

double llama3(const RotarySpec& spec, double frequency) {
  double turns = double(spec.original_max_position_embeddings) * frequency / kTurn;
  if (turns < spec.low_freq_factor) return frequency / spec.factor;
  if (turns > spec.high_freq_factor) return frequency;
  double smooth = (turns - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor);
  return (1 - smooth) * frequency / spec.factor + smooth * frequency;
}

/// The pair that makes `turns` turns over the original length.
double pair_of_turns(const RotarySpec& spec, double turns) {
  double length = double(spec.original_max_position_embeddings);
  return double(spec.dims) * std::log(length / (turns * kTurn)) / (2 * std::log(double(spec.theta)));
}

double yarn(const RotarySpec& spec, double frequency, int64_t pair) {  // Peng et al. 2023
  double low = std::max(std::floor(pair_of_turns(spec, spec.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of_turns(spec, spec.beta_slow)), double(spec.dims - 1));
  double ramp = std::clamp((double(pair) - low) / std::max(high - low, 0.001), 0.0, 1.0);
  return frequency / spec.factor * ramp + frequency * (1 - ramp);
}

/// Ding et al. 2024, as transformers has it.
double longrope(const RotarySpec& spec, double frequency, int64_t pair) {
  bool is_long = spec.longest > spec.original_max_position_embeddings;
  const std::vector<double>& factors = is_long ? spec.long_factor : spec.short_factor;
  require(int64_t(factors.size()) == spec.dims / 2, "rotary: longrope has ", factors.size(),
          is_long ? " long factors" : " short factors", " for ", spec.dims / 2, " pairs");
  return frequency / factors[size_t(pair)];
}

/// The base that grows with the length (by u/emozilla, 2023).
double dynamic_theta(const RotarySpec& spec) {
  double original = double(spec.original_max_position_embeddings), length = std::max(original, double(spec.longest));
  double stretched = spec.factor * length / original - (spec.factor - 1);
  return double(spec.theta) * std::pow(stretched, double(spec.dims) / double(spec.dims - 2));
}

double frequency_of(const RotarySpec& spec, double theta, int64_t pair) {
  return spec.dims ? std::pow(theta, -2.0 * double(pair) / double(spec.dims)) : 0;
}

}  // namespace

void check_rotary(const Tensor& qkv, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec) {
  require(qkv.shape().rank() == 3, "rotary: x ", qkv.shape(), " is not [tokens, heads, head_dim]");
  require(qkv.dtype() == DType::f32 || qkv.dtype() == DType::bf16, "rotary: x is ", name_of(qkv.dtype()),
          ", not f32 or bf16");
  require(positions.dtype() == DType::i32 && positions.shape() == Shape{qkv.shape()[0]}, "rotary: positions ",
          name_of(positions.dtype()), " ", positions.shape(), " do not fit x ", qkv.shape(), "; they must be i32 [",
          qkv.shape()[0], "]");
  require(spec.dims >= 0 && spec.dims % 2 == 0 && spec.dims <= qkv.shape()[2], "rotary: ", spec.dims,
          " rotated values do not fit heads of ", qkv.shape()[2], "; the number must be even and at most that");
  require(rotated_heads >= 0 && rotated_heads <= qkv.shape()[1], "rotary: ", rotated_heads, " rotated heads of ",
          qkv.shape()[1]);
  rotary_frequency(spec, 0);
}

namespace {

Tensor turned(const Tensor& x, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec, bool back) {
  Tensor out = x.unique() && !x.is_leaf() ? x.detached() : Tensor::empty_like(x);
  bool in_place = out.shared_storage() == x.shared_storage();
  PurposeScope scope(Purpose::workspace);
  Tensor table;
  if (x.device().backend == Backend::cpu) table = Tensor::empty({x.shape()[0] + 2, spec.dims});
  int64_t rotated = x.shape()[0] * rotated_heads * spec.dims;
  int64_t touched = in_place ? 2 * rotated * size_of(x.dtype()) : 2 * x.bytes();
  rotary_kernel({3 * rotated, touched + (table ? 2 * table.bytes() : 0)}, x, positions, rotated_heads, spec, back, out,
                table);
  return out;
}

template <class T>
void turn_head(const T* x, T* out, int64_t head_dim, const RotarySpec& spec, const float* table, float sign) {
  int64_t half = spec.dims / 2;
  for (int64_t pair = 0; pair < half; ++pair) {
    int64_t first = spec.interleaved ? 2 * pair : pair, second = spec.interleaved ? first + 1 : pair + half;
    float a = float(x[first]), b = float(x[second]), cosine = table[pair], sine = sign * table[half + pair];
    out[first] = T(a * cosine - b * sine);
    out[second] = T(b * cosine + a * sine);
  }
  if (x != out) std::copy(x + spec.dims, x + head_dim, out + spec.dims);
}

template <class T>
void turn_token(const T* x, T* out, const Tensor& like, int64_t rotated_heads, const RotarySpec& spec,
                const float* table, float sign) {
  int64_t heads = like.shape()[1], head_dim = like.shape()[2];
  for (int64_t head = 0; head < rotated_heads; ++head)
    turn_head(x + head * head_dim, out + head * head_dim, head_dim, spec, table, sign);
  if (x != out) std::copy(x + rotated_heads * head_dim, x + heads * head_dim, out + rotated_heads * head_dim);
}

void rotary_plain(const Tensor& x, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec, bool back,
                  Tensor& out, Tensor& table) {
  int64_t tokens = x.shape()[0], row = x.shape()[1] * x.shape()[2], half = spec.dims / 2;
  double magnitude = rotary_magnitude(spec);
  double* frequencies = table.data<double>();  // the first two rows
  for (int64_t pair = 0; pair < half; ++pair) frequencies[pair] = rotary_frequency(spec, pair);
  visit_floating(x.dtype(), [&]<class T>(Element<T>) {
#pragma omp parallel for schedule(static)
    for (int64_t token = 0; token < tokens; ++token) {
      float* turns = table.data<float>() + (token + 2) * spec.dims;
      for (int64_t pair = 0; pair < half; ++pair) {
        double angle = positions.data<int32_t>()[token] * frequencies[pair];
        turns[pair] = float(magnitude * std::cos(angle));
        turns[half + pair] = float(magnitude * std::sin(angle));
      }
      turn_token(x.data<T>() + token * row, out.data<T>() + token * row, x, rotated_heads, spec, turns,
                 back ? -1.0f : 1.0f);
    }
  });
}

const bool provided = rotary_kernel.provide(Isa::plain, rotary_plain);

}  // namespace

double rotary_frequency(const RotarySpec& spec, int64_t pair) {
  double frequency = frequency_of(spec, spec.theta, pair);
  if (spec.scaling.empty() || spec.scaling == "default") return frequency;
  if (spec.scaling == "linear") return frequency / spec.factor;
  if (spec.scaling == "dynamic") return frequency_of(spec, dynamic_theta(spec), pair);
  if (spec.scaling == "llama3") return llama3(spec, frequency);
  if (spec.scaling == "yarn") return yarn(spec, frequency, pair);
  if (spec.scaling == "longrope") return longrope(spec, frequency, pair);
  throw Error(
      text("rotary: unknown scaling '", spec.scaling, "'; known are default, linear, dynamic, llama3, yarn, longrope"));
}

double rotary_magnitude(const RotarySpec& spec) {
  if (spec.scaling != "yarn" && spec.scaling != "longrope") return 1;
  if (spec.attention_factor > 0) return spec.attention_factor;
  if (spec.factor <= 1) return 1;
  if (spec.scaling == "yarn") return 0.1 * std::log(spec.factor) + 1;
  return std::sqrt(1 + std::log(spec.factor) / std::log(double(spec.original_max_position_embeddings)));
}

RotarySpec for_length(const RotarySpec& spec, int64_t longest) {
  RotarySpec fitted = spec;
  fitted.longest = longest;
  return fitted;
}

Tensor rotary(const Tensor& qkv, const Tensor& positions, int64_t rotated_heads, const RotarySpec& spec) {
  check_rotary(qkv, positions, rotated_heads, spec);
  Tensor out = turned(qkv, positions, rotated_heads, spec, false);
  record({&out}, {&qkv}, {[positions, rotated_heads, spec](std::span<const Tensor> dy) -> Gradients {
           return {turned(dy[0], positions, rotated_heads, spec, true)};
         }});
  return out;
}

}  // namespace lathe
