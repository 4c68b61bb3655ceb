#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "lathe/files/tensor_files.h"
#include "lathe/infer/encoding_pass.h"
#include "lathe/models/config.h"
#include "lathe/tensor/rehearse.h"

namespace lathe {

class PeftAdapter;

/// An encoder in use, with all memory planned: the constructor rehearses on a meta Runtime, then takes a Runtime of
/// just that size. One thread; the newest object is the one to use.
class TextReader {
 public:
  struct Options {
    EncodingLimits limits;  ///< tokens 0: as many as `sequences` of the model's longest have; globals: the model's
    Device device;
    DType compute = DType::f32;
    int64_t memory = 0;                    ///< bytes of the device that may be taken
    const PeftAdapter* adapter = nullptr;  ///< beside the weights: see load_model()
  };
  /// What is made of the head's result: `rows` [rows, columns], packed as `sequences` says where no rows were named.
  using Use = std::function<void(const Tensor& rows, const Packed& sequences)>;

  /// `use` runs at the end of every pass, and of the rehearsal, where tensors have no bytes. Throws Error when the
  /// tensors cannot be read, or memory does not suffice.
  TextReader(const TensorFiles& files, const ModelConfig& config, const Options& options, Use use);
  ~TextReader();

  /// One pass. Which tokens are global is the model's to say. Throws Error for a text that is longer than the model
  /// takes, names a token that it has not, or lacks a question that its global tokens would be.
  void read(std::span<const WholeText> texts);

  const EncodingLimits& limits() const { return options_.limits; }
  int64_t memory() const { return memory_; }
  const Rehearsal& rehearsal() const { return rehearsed_; }  ///< of a pass

 private:
  ModelConfig config_;
  Options options_;
  Use use_;
  int64_t memory_ = 0;
  Rehearsal rehearsed_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Model> model_;
  std::optional<EncodingPass> pass_;

  void run();
};

}  // namespace lathe
