#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lathe/eval/windows.h"
#include "lathe/models/config.h"
#include "lathe/nn/module.h"
#include "lathe/tensor/rehearse.h"

namespace lathe {
class PeftAdapter;
}

namespace lathe::eval {

/// How well a model predicts a text.
struct Perplexity {
  int64_t tokens = 0;  ///< predicted, each once
  int64_t bytes = 0;   ///< of the text that they stand for
  int64_t documents = 0;
  int64_t unpredicted = 0;  ///< first tokens that nothing stood before: counted in neither
  double nats = 0;          ///< sum of -log p
  double seconds = 0;

  double loss() const;           ///< nats a token
  double perplexity() const;     ///< e to the loss
  double bits_per_byte() const;  ///< does not depend on the tokenizer
  double tokens_per_second() const;
  void add(const Perplexity& other);
};

/// A model as it is measured on texts, with all memory planned: the constructor rehearses on a meta Runtime, then takes
/// a Runtime of just that size. One thread; the newest object is the one to use.
class PerplexityMeter {
 public:
  struct Options {
    WindowOptions windows;
    Device device;
    DType compute = DType::f32;
    int64_t memory = 0;                    ///< bytes of the device that may be taken
    const PeftAdapter* adapter = nullptr;  ///< beside the weights
  };
  /// Throws Error when the model cannot be read, a window is longer than it takes, or memory does not suffice.
  PerplexityMeter(const std::string& model_directory, const ModelConfig& config, const Options& options);
  ~PerplexityMeter();

  /// Scores all of `source`. `text_bytes` tells how much text a token stands for. `progress` is told how many tokens
  /// are scored after each pass. Throws Error when the source holds nothing that could be predicted.
  Perplexity measure(TokenSource& source, const std::function<int64_t(int32_t)>& text_bytes,
                     const std::function<void(int64_t tokens)>& progress = nullptr);

  int64_t memory() const { return memory_; }            ///< bytes of the plan: weights and a pass
  const Rehearsal& rehearsal() const { return pass_; }  ///< of a pass
  const Arena& arena() const;

 private:
  class Scorer;
  Options options_;
  int64_t memory_ = 0;
  Rehearsal pass_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Scorer> scorer_;
};

}  // namespace lathe::eval
