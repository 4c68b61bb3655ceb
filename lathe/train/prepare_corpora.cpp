#include "lathe/train/prepare_corpora.h"

#include <filesystem>
#include <optional>

#include "lathe/base/log.h"
#include "lathe/base/numbers.h"
#include "lathe/base/progress.h"
#include "lathe/data/corpus_reader.h"
#include "lathe/data/prepare.h"
#include "lathe/data/token_shards.h"
#include "lathe/tokenize/trainer.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

data::ReadOptions read_options(const CorpusSettings& corpus) {
  return {.text_field = corpus.text_field, .document_separator = corpus.document_separator};
}

void count_words(const CorpusSettings& corpus, TokenizerTrainer& trainer) {
  data::CorpusReader reader(data::find_text_files(corpus.text), read_options(corpus), false);
  data::TextChunk chunk;
  while (reader.next(chunk)) {
    std::vector<std::string_view> documents;
    for (size_t i = 0; i < chunk.count; ++i) documents.push_back(chunk.pieces[i].piece.text);
    trainer.add(documents);
  }
}

/// Learns a tokenizer from the text of `corpora` and writes it to `directory`.
void train_tokenizer(const JobSettings& job, const std::vector<const CorpusSettings*>& corpora,
                     const std::string& directory) {
  const TokenizerSettings& settings = job.tokenizer;
  TokenizerTrainer trainer({.kind = tokenizer_kind(settings.kind),
                            .vocabulary_size = settings.vocab_size > 0 ? settings.vocab_size : job.model.vocab_size,
                            .minimum_frequency = settings.min_frequency,
                            .special_tokens = settings.special_tokens});
  for (const CorpusSettings* corpus : corpora) count_words(*corpus, trainer);
  Tokenizer tokenizer = trainer.train();
  tokenizer.save(directory);
  log_info("trained a tokenizer of ", tokenizer.vocabulary_size(), " tokens on ", format_bytes(trainer.counted().bytes),
           ": ", directory);
}

void prepare(const JobSettings& job, const CorpusSettings& corpus, const std::string& tokenizer) {
  data::PrepareOptions options{.inputs = corpus.text,
                               .tokenizer = tokenizer,
                               .output = corpus.path,
                               .read = read_options(corpus),
                               .seed = job.training.seed,
                               .held_out = {.fraction = corpus.held_out}};
  std::optional<Progress> line;
  data::PrepareReport report = data::prepare(options, [&](const data::PrepareProgress& now) {
    if (!line) line.emplace(ProgressOptions{.what = "preparing", .unit = "bytes", .total = now.file_bytes});
    if (line->due()) line->update(now.file_bytes_read);
  });
  line.reset();
  log_info("prepared ", corpus.path, ": ", format_count(report.index.train.tokens), " tokens to train on, ",
           format_count(report.index.held_out.tokens), " held out");
}

}  // namespace

void prepare_missing_corpora(const JobSettings& job) {
  std::vector<const CorpusSettings*> missing;
  std::string tokenizer = job.tokenizer.path;
  for (const CorpusSettings& corpus : job.data.corpora) {
    if (fs::exists(corpus.path)) {
      if (tokenizer.empty()) tokenizer = data::TokenShards(corpus.path).tokenizer_path();
    } else if (!corpus.text.empty()) {
      missing.push_back(&corpus);
    }
  }
  if (missing.empty()) return;
  if (tokenizer.empty()) {
    tokenizer = missing.front()->path + "-tokenizer";
    train_tokenizer(job, missing, tokenizer);
  }
  for (const CorpusSettings* corpus : missing) prepare(job, *corpus, tokenizer);
}

}  // namespace lathe
