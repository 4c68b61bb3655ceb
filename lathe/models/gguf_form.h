#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/base/gguf_writer.h"
#include "lathe/models/config.h"

namespace lathe {

struct Family;

/// How tensors of one kind are called in a GGUF file, and how they lie there. Matrices are [out, in] in every GGUF
/// file.
struct GgufName {
  /// As the model names it, without .weight or .bias: "model.layers.*.self_attn.q_proj". A # stands for the number of
  /// an expert, whose matrices lie in one tensor of the file, [experts, out, in].
  std::string model;
  std::string file;  ///< "blk.*.attn_q"; * stands for the same number in both
  /// Which row of the file's tensor is a row of the model's; null: the same. A one-to-one map.
  int64_t (*file_row)(const ModelConfig& config, int64_t row) = nullptr;
  float add = 0;  ///< the model's numbers are the file's plus this
  /// How many first rows of the model's tensor the file leaves out, which no text reads; null: none.
  int64_t (*left_out)(const ModelConfig& config) = nullptr;
};

/// How a family's models lie in GGUF files: a part of its one file.
struct GgufForm {
  std::string architecture;  ///< general.architecture
  /// Where families share an architecture: whether a file holds this one. Null: those that no other asks for.
  bool (*is)(const GgufFile& file) = nullptr;
  void (*read)(const GgufFile& file, ModelConfig& config);           ///< what read_gguf_sizes() has not read
  void (*write)(const ModelConfig& config, GgufMetadata& metadata);  ///< all keys that begin with the architecture
  std::vector<GgufName> names;              ///< of two that a file has for one name of the model, the later counts
  std::vector<std::string> of_config = {};  ///< tensors that read() takes, which the model has not
  std::vector<GgufTensorSource> (*config_tensors)(const ModelConfig& config) = nullptr;  ///< writes such
  /// Keys of the architecture that read() follows, less its name, of those that require_followed() refuses elsewhere.
  std::vector<std::string> keys = {};
  bool head_apart = false;  ///< files hold output.weight, as llama.cpp asks, even where it is the table of tokens
};

/// The family of the model in a file. Throws Error naming the architecture and those there are.
const Family& family_of_gguf(const GgufFile& file);

/// The keys of nearly all families, "llama.block_count" and so on. Throws Error for sizes that are missing, and for
/// what they ask for that no family here can do. write_gguf_sizes() writes them.
void read_gguf_sizes(const GgufFile& file, ModelConfig& config);
/// Throws Error for a key that asks for other numbers than the family computes: llama.cpp has many for families that
/// are not here.
void require_followed(const GgufFile& file, const GgufForm& form, const ModelConfig& config);
enum class GgufNorm { rms, layer };  ///< whose epsilon is written
void write_gguf_sizes(const ModelConfig& config, const std::string& architecture, GgufNorm norm,
                      GgufMetadata& metadata);

/// f32 numbers as such a tensor.
GgufTensorSource gguf_source(const std::string& name, const std::vector<double>& numbers);

/// The f32 numbers of a tensor that a config needs. Throws Error for one of another type.
std::vector<double> gguf_numbers(const GgufFile& file, const std::string& tensor);

/// The tensors of a decoder of LLaMA's form, rows as they are: for families with names like its own.
std::vector<GgufName> llama_gguf_names();
/// For queries and keys of files whose rotary positions turn neighbours, where the model's turn the two halves of a
/// head (llama.cpp's "llama" architecture).
int64_t row_of_rotary_pairs(const ModelConfig& config, int64_t row);

/// The name that `pattern` gives in the place of what `name` is in `other`; empty where `name` is not of that form.
/// Each may have a * and a #; those that `other` has not stay. A .weight or .bias at the end stays too.
std::string renamed(const std::string& name, const std::string& other, const std::string& pattern);

}  // namespace lathe
