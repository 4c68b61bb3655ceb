#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lathe/tensor/dtype.h"

namespace lathe {

/// A type of numbers in files of tensors, by its name there: safetensors' and GGUF's are the same ("BF16", "I64").
struct ElementType {
  std::string_view name;
  int64_t bytes;                             ///< of an element; 0: less than one, see `bits`
  std::optional<DType> dtype;                ///< the same in memory, where there is one
  float (*value)(const std::byte* element);  ///< null: no numbers that a model's weights could be
  int64_t bits = 8 * bytes;

  /// Of so many; nothing where they are no whole bytes, or too many.
  std::optional<int64_t> bytes_of(int64_t elements) const;
};

/// Null: no such type.
const ElementType* find_element_type(std::string_view name);
const ElementType& element_type(DType dtype);
/// "F64, F32, ...", for messages.
std::string element_type_names();

}  // namespace lathe
