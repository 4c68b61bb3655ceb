#include "lathe/data/held_out_choice.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/data/sample_order.h"

namespace lathe::data {
namespace {

constexpr int64_t kBoundaryWithin = int64_t{1} << 16;  // bytes that the tail may grow by to begin behind a blank line
constexpr int64_t kReadTokens = int64_t{1} << 16;

int64_t target_bytes(const std::vector<SpooledDocument>& documents, const HeldOutSize& size) {
  int64_t total = 0;
  for (const SpooledDocument& document : documents) total += document.bytes;
  require(size.fraction >= 0 && size.fraction < 1, "--held-out: ", size.fraction, " is no fraction below 1");
  const int64_t target = size.bytes > 0 ? size.bytes : static_cast<int64_t>(size.fraction * static_cast<double>(total));
  require(target < total, "--held-out: ", format_bytes(target), " of ", format_bytes(total),
          " of text would leave nothing to train on: hold out less or give more text");
  return target;
}

/// Whole documents in a seeded order until `target` bytes are held out, passing over those that are far too large.
/// Empty flags where that does not reach the target.
std::vector<bool> choose_documents(const std::vector<SpooledDocument>& documents, int64_t target, uint64_t seed) {
  std::vector<bool> held_out(documents.size());
  const Permutation order(documents.size(), derive_key(seed, 0x68656c64));
  int64_t sum = 0;
  size_t chosen = 0;
  for (size_t i = 0; i < documents.size() && sum < target; ++i) {
    const auto index = static_cast<size_t>(order(i));
    if (documents[index].bytes > 2 * target) continue;
    held_out[index] = true;
    sum += documents[index].bytes;
    ++chosen;
  }
  if (sum < target || chosen == documents.size()) held_out.clear();
  return held_out;
}

/// What the tokens of a vocabulary are made of, for finding a place in tokens by bytes of text.
class TokenTexts {
 public:
  explicit TokenTexts(const Tokenizer& tokenizer) {
    for (TokenId id = 0; id < tokenizer.vocabulary_size(); ++id) {
      const bool text = !tokenizer.is_special(id);
      texts_.push_back(text ? tokenizer.decode(std::span(&id, 1)) : std::string());
    }
  }
  int64_t bytes(uint32_t token) const { return static_cast<int64_t>(texts_[token].size()); }
  bool ends_line(uint32_t token) const { return !texts_[token].empty() && texts_[token].back() == '\n'; }
  /// How good it is to cut between `before` and `after`: 3 behind a blank line, 2 behind a line, 1 between characters.
  int cut_rank(uint32_t previous, uint32_t before, uint32_t after) const {
    const std::string& left = texts_[before];
    const std::string& right = texts_[after];
    if (right.empty() || (static_cast<unsigned char>(right[0]) & 0xC0) == 0x80) return 0;
    if (!ends_line(before)) return 1;
    return (left.size() == 1 ? ends_line(previous) : left[left.size() - 2] == '\n') ? 3 : 2;
  }

 private:
  std::vector<std::string> texts_;
};

struct Cut {
  int64_t tokens = 0;  // before it
  int64_t tail_bytes = 0;
};

/// Where `document` may be cut so that at least `wanted` bytes come behind, not many more. Reads it from its end.
Cut find_cut(Spool& spool, const SpooledDocument& document, const TokenTexts& texts, int64_t wanted) {
  Cut best;
  int best_rank = 0;
  int64_t tail = 0;                // bytes from `after` on
  uint32_t before = 0, after = 0;  // tokens at + 1 and at + 2
  for (int64_t end = document.tokens, begin = 0; end > 0; end = begin) {
    begin = std::max<int64_t>(0, end - kReadTokens);
    const std::vector<uint32_t> tokens = spool.read(document.first_token + begin, end - begin);
    for (int64_t at = end - 1; at >= begin; --at) {
      const uint32_t token = tokens[static_cast<size_t>(at - begin)];
      const bool possible = tail >= wanted && at + 2 < document.tokens;
      const int rank = possible ? texts.cut_rank(token, before, after) : 0;
      if (rank > best_rank) best = {at + 2, tail};
      best_rank = std::max(rank, best_rank);
      if (best_rank == 3 || (best_rank > 0 && tail > wanted + kBoundaryWithin)) return best;
      if (at + 1 < document.tokens) tail += texts.bytes(before);
      after = before;
      before = token;
    }
  }
  return best;
}

std::vector<bool> choose_tail(Spool& spool, const Tokenizer& tokenizer, int64_t target) {
  std::vector<bool> held_out(spool.documents().size());
  size_t index = held_out.size();
  while (index > 0 && spool.documents()[index - 1].bytes <= target) {
    held_out[--index] = true;
    target -= spool.documents()[index].bytes;
  }
  if (target <= 0 || index == 0) return held_out;
  const SpooledDocument document = spool.documents()[index - 1];
  const Cut cut = find_cut(spool, document, TokenTexts(tokenizer), target);
  require(cut.tokens > 0, "--held-out: no place found to cut off ", format_bytes(target), " of a document of ",
          format_bytes(document.bytes), ": hold out less, or cut the text into documents with --document-separator");
  spool.cut_document(index - 1, cut.tokens, document.bytes - cut.tail_bytes);
  held_out.push_back(true);  // all from the cut on
  return held_out;
}

}  // namespace

std::vector<bool> choose_held_out(Spool& spool, const Tokenizer& tokenizer, const HeldOutSize& size, uint64_t seed) {
  const int64_t target = target_bytes(spool.documents(), size);
  if (target == 0) return std::vector<bool>(spool.documents().size());
  std::vector<bool> chosen;
  if (spool.documents().size() >= kFewDocuments) chosen = choose_documents(spool.documents(), target, seed);
  return chosen.empty() ? choose_tail(spool, tokenizer, target) : chosen;
}

}  // namespace lathe::data
