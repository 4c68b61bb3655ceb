#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lathe {

/// How the elements of a tensor lie in a GGUF file, numbered as there: numbers, or blocks of codes with their scales.
enum class GgmlType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
  q1_0 = 41,
  q2_0 = 42
};

/// A block is what cannot be divided: `elements` in a row, in `bytes`.
struct GgmlBlock {
  GgmlType type;
  const char* name;  ///< as llama.cpp writes it: "Q4_K", "F16"
  int64_t elements;
  int64_t bytes;
};

/// Null: no such type.
const GgmlBlock* find_ggml_block(uint32_t type);
const GgmlBlock& ggml_block(GgmlType type);
const char* name_of(GgmlType type);
/// The type of that name, in capitals or not.
std::optional<GgmlType> ggml_type_named(std::string_view name);

}  // namespace lathe
