#include "lathe/infer/text_reader.h"

#include <algorithm>

#include "lathe/base/numbers.h"
#include "lathe/files/load_model.h"
#include "lathe/models/family.h"
#include "lathe/models/global_tokens.h"
#include "lathe/models/task.h"
#include "lathe/tensor/tape.h"

namespace lathe {

TextReader::TextReader(const TensorFiles& files, const ModelConfig& config, const Options& options, Use use)
    : config_(config), options_(options), use_(std::move(use)) {
  Reading reading = family_named(config.model_type).reading;
  require(reading == Reading::encoder || (reading == Reading::decoder && task_of(config) == Task::sequence_labels),
          config.model_type,
          " does not read whole texts: it continues them (lathe generate); bert, roberta and the like do");
  EncodingLimits& limits = options_.limits;
  if (limits.tokens == 0) limits.tokens = limits.sequences * config.max_position_embeddings;
  limits.globals = most_global_tokens(config, limits.sequences, limits.tokens);
  {
    Runtime meta(options.device.as_meta(), Runtime::kUnbounded);
    model_ = load_model(files, config, options.compute, options.adapter);
    pass_.emplace(limits);
    const int64_t loaded = meta.arena.use().reserved;
    pass_->load_largest(config.max_position_embeddings);
    rehearsed_ = rehearse([&] { run(); });
    memory_ = std::max(loaded, meta.arena.kept_end() + rehearsed_.placement.reserved);
    pass_.reset();
    model_.reset();
  }
  require(memory_ <= options.memory, "reading ", limits.sequences, " texts of together ", limits.tokens,
          " tokens at a time needs ", format_bytes(memory_), " but ", format_bytes(options.memory),
          " are available here; try a smaller --batch\n", table_of(rehearsed_.at_peak));
  runtime_ = std::make_unique<Runtime>(options.device, memory_);
  model_ = load_model(files, config, options.compute, options.adapter);
  pass_.emplace(limits);
}

TextReader::~TextReader() = default;

void TextReader::run() {
  Recording paused(nullptr);
  use_(through(model_->blocks, *pass_), pass_->sequences());
}

void TextReader::read(std::span<const WholeText> texts) {
  for (const WholeText& whole : texts) {
    require(int64_t(whole.tokens.size()) <= config_.max_position_embeddings, "a text of ", whole.tokens.size(),
            " tokens is longer than the ", config_.max_position_embeddings, " that the model takes");
    for (uint32_t token : whole.tokens)
      require(token < config_.vocab_size, "token ", token, " is beyond the model's ", config_.vocab_size);
  }
  std::vector<WholeText> marked(texts.begin(), texts.end());
  for (WholeText& whole : marked) whole.globals = global_tokens(config_, whole.tokens);
  pass_->load(marked);
  replay(rehearsed_.placement, [&] { run(); });
}

}  // namespace lathe
