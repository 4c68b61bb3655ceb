#include "lathe/infer/embedder.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lathe/base/error.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

ModelConfig of_hidden_rows(ModelConfig config) {
  config.architecture = "Model";  // whatever head the file has: embeddings need none
  return config;
}

int64_t longest_text(const ModelConfig& config, const SentenceModules& modules) {
  int64_t most = config.max_position_embeddings;
  return modules.max_tokens > 0 ? std::min(modules.max_tokens, most) : most;
}

TextReader::Options with_room(TextReader::Options options, int64_t longest) {
  if (options.limits.tokens == 0) options.limits.tokens = options.limits.sequences * longest;
  return options;
}

void normalize(std::vector<float>& vector) {
  double squares = 0;
  for (float x : vector) squares += double(x) * double(x);
  double length = std::max(std::sqrt(squares), 1e-12);
  for (float& x : vector) x = float(double(x) / length);
}

}  // namespace

Embedder::Embedder(const TensorFiles& files, const ModelConfig& config, const SentenceModules& modules,
                   const TextReader::Options& options)
    : modules_(modules),
      dimensions_(config.hidden_size * int64_t(modules.pooling.size())),
      max_tokens_(longest_text(config, modules)),
      reader_(files, of_hidden_rows(config), with_room(options, max_tokens_),
              [this](const Tensor& rows, const Packed& sequences) { pool(rows, sequences); }) {}

void Embedder::pool(const Tensor& rows, const Packed& sequences) {
  pooled_.clear();
  for (Pooling pooling : modules_.pooling) {
    Tensor pooled = pool_sequences(rows, sequences.offsets, pooling);
    if (pooled.is_meta()) continue;
    std::vector<float>& values = pooled_.emplace_back(size_t(pooled.elements()));
    download(pooled, std::as_writable_bytes(std::span(values)));
  }
}

std::vector<std::vector<float>> Embedder::embed(std::span<const std::vector<TokenId>> texts,
                                                const std::function<void(int64_t done)>& progress) {
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return texts[a].size() > texts[b].size(); });
  std::vector<std::vector<float>> vectors(texts.size());
  const EncodingLimits& limits = reader_.limits();
  for (size_t done = 0; done < order.size();) {
    std::vector<WholeText> batch;
    for (int64_t left = limits.tokens; done + batch.size() < order.size();
         left -= int64_t(batch.back().tokens.size())) {
      const std::vector<TokenId>& next = texts[order[done + batch.size()]];
      if (int64_t(batch.size()) == limits.sequences || (!batch.empty() && int64_t(next.size()) > left)) break;
      batch.push_back({next, {}, {}});
    }
    reader_.read(batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      std::vector<float>& vector = vectors[order[done + i]];
      for (const std::vector<float>& pooled : pooled_) {
        auto width = int64_t(pooled.size() / batch.size());
        vector.insert(vector.end(), pooled.begin() + int64_t(i) * width, pooled.begin() + int64_t(i + 1) * width);
      }
      require(std::all_of(vector.begin(), vector.end(), [](float x) { return std::isfinite(x); }), "text ",
              order[done + i] + 1,
              ": its vector is no number; the model's weights are damaged, or its training failed");
      if (modules_.normalize) normalize(vector);
    }
    done += batch.size();
    if (progress) progress(int64_t(done));
  }
  return vectors;
}

std::vector<TokenId> tokens_of_text(const Tokenizer& tokenizer, std::string_view text, int64_t max_tokens) {
  std::vector<TokenId> tokens = tokenizer.encode_with_template(text);
  require(!tokens.empty(), "an empty text has no tokens with this tokenizer");
  if (int64_t(tokens.size()) <= max_tokens) return tokens;
  std::vector<TokenId> plain = tokenizer.encode(text);
  auto behind = int64_t(tokens.size());
  for (size_t first = 0; first + plain.size() <= tokens.size(); ++first)
    if (std::equal(plain.begin(), plain.end(), tokens.begin() + int64_t(first))) {
      behind = int64_t(first + plain.size());
      break;
    }
  int64_t kept = max_tokens - (int64_t(tokens.size()) - behind);
  require(kept > 0, "texts of at most ", max_tokens,
          " tokens leave no room beside what the tokenizer puts around them");
  tokens.erase(tokens.begin() + kept, tokens.begin() + behind);
  return tokens;
}

}  // namespace lathe
