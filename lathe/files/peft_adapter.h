#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lathe/files/lora_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/config.h"

namespace lathe {

/// A matrix of a base model and what a LoRA has for it: it becomes that plus scale * up * down.
struct AdaptedMatrix {
  std::string name;     ///< as the base model's tensor is called, without ".weight"
  bool linear = false;  ///< of a linear layer, not a table
  int64_t out = 0, in = 0, rank = 0;
  double scale = 0;
  const FileTensor *down = nullptr, *up = nullptr;  ///< [rank, in] and [out, rank]; of a table transposed
  const FileTensor* magnitude = nullptr;            ///< DoRA: the lengths that rows then get; null: as they are
};

/// A LoRA that PEFT saved: a directory with adapter_config.json and adapter_model.safetensors or adapter_model.bin,
/// checked against the model that it is for. Must outlive the TensorFiles and models that it is put into.
class PeftAdapter {
 public:
  /// Throws Error naming the file and the field or tensor that is missing, is not read here, does not fit the shapes of
  /// `base`, or has no place in it; and a layer that the configuration means but that has no tensors.
  PeftAdapter(const std::string& directory, const ModelConfig& base);

  /// Gives `files`, those of the base model, what models beside whose weights it works load: its matrices, and in
  /// place of the base's own what it replaces (modules_to_save, biases) or what can only be changed (DoRA, tables).
  void put_into(TensorFiles& files) const;
  /// Declares its LoRAs beside the linear layers of `model`, which is declared. What the model has not, as a head that
  /// was left out, is passed over.
  void attach_to(Model& model) const;
  /// Gives `files` the base's tensors with all of the adapter in them.
  void merge_into(TensorFiles& files) const;

  /// "LoRA of rank 8 beside 24 matrices", to be shown.
  std::string description() const;

 private:
  std::string path_;
  LoraConfig config_;
  TensorFiles tensors_;
  std::string prefix_;  ///< of the base model's family
  std::vector<AdaptedMatrix> matrices_;
  std::vector<std::pair<std::string, const FileTensor*>> replaced_;  ///< by the base model's names

  bool works_beside(const AdaptedMatrix& matrix) const { return matrix.linear && !matrix.magnitude; }
  void change(TensorFiles& files, const AdaptedMatrix& matrix) const;
  void replace_tensors(TensorFiles& files) const;
  void read_tensors(const ModelConfig& base);
};

}  // namespace lathe
