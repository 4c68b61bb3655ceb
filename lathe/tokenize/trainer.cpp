#include "lathe/tokenize/trainer.h"

#include <algorithm>
#include <map>
#include <set>

#include "lathe/base/error.h"
#include "lathe/base/nearest.h"
#include "lathe/base/text_input.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/cut_text.h"
#include "lathe/tokenize/parallel.h"
#include "lathe/tokenize/train_bpe.h"
#include "lathe/tokenize/train_unigram.h"
#include "lathe/tokenize/trained.h"
#include "lathe/tokenize/word_counts.h"

namespace lathe {
namespace {

using tokenize::Trained;
using tokenize::WordCounts;

constexpr size_t kPiece = size_t{1} << 20;
constexpr size_t kFilePart = size_t{32} << 20;
constexpr size_t kWordsAtOnce = 512;

using Counted = std::vector<std::pair<std::string, int64_t>>;

void count_words(const tokenize::Splitter& splitter, std::string_view text, WordCounts& counts, int64_t& words) {
  thread_local std::vector<std::string_view> batch;
  for (size_t offset = 0; offset < text.size();) {
    batch.clear();
    offset = splitter.split(text, offset, kWordsAtOnce, batch);
    for (const std::string_view word : batch) counts.add(word);
    words += static_cast<int64_t>(batch.size());
  }
}

void count_words(const tokenize::TextEncoder& pipeline, std::string_view text, WordCounts& counts, int64_t& words) {
  pipeline.each_word(text, [&](std::string_view word) {
    counts.add(word);
    ++words;
  });
}

/// Most frequent first, of equals the smaller word; without those too rare.
Counted by_frequency(const WordCounts& words, int64_t minimum) {
  Counted all;
  words.for_each([&](std::string_view word, int64_t count) {
    if (count >= minimum) all.emplace_back(word, count);
  });
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return all;
}

/// The most frequent words (characters, sorted) that find room behind the special tokens.
void take_words(const WordCounts& words, const TokenizerTraining& training, Trained& trained) {
  const std::set<std::string> special(trained.tokens.begin(), trained.tokens.end());
  const size_t first = trained.tokens.size();
  for (const auto& [word, count] : by_frequency(words, training.minimum_frequency)) {
    if (static_cast<int64_t>(trained.tokens.size()) >= training.vocabulary_size) break;
    if (!special.count(word)) trained.tokens.push_back(word);
  }
  if (training.kind != TokenizerKind::characters) return;
  std::sort(trained.tokens.begin() + static_cast<ptrdiff_t>(first), trained.tokens.end());
}

/// Ids of symbols, given out as they are asked for.
class Symbols {
 public:
  explicit Symbols(std::vector<std::string>& tokens) : tokens_(tokens) {
    for (TokenId id = 0; id < tokens.size(); ++id) ids_.emplace(tokens[id], id);
  }
  TokenId id(const std::string& spelling) {
    const auto [place, fresh] = ids_.emplace(spelling, static_cast<TokenId>(tokens_.size()));
    if (fresh) tokens_.push_back(spelling);
    return place->second;
  }

 private:
  std::vector<std::string>& tokens_;
  std::map<std::string, TokenId> ids_;
};

/// All bytes, in the order of the characters they are spelt in, as ByteLevel's alphabet is sorted.
tokenize::SymbolWords byte_symbols(const WordCounts& words, Trained& trained) {
  std::vector<std::pair<uint32_t, int>> alphabet;
  for (int byte = 0; byte < 256; ++byte)
    alphabet.emplace_back(tokenize::byte_characters()[static_cast<size_t>(byte)], byte);
  std::sort(alphabet.begin(), alphabet.end());
  Symbols symbols(trained.tokens);
  std::array<TokenId, 256> ids;
  for (const auto& [character, byte] : alphabet) {
    const char value = static_cast<char>(byte);
    ids[static_cast<size_t>(byte)] = symbols.id(tokenize::spell_bytes({&value, 1}));
  }
  tokenize::SymbolWords out;
  words.for_each([&](std::string_view word, int64_t count) {
    for (const char byte : word) out.symbols.push_back(ids[static_cast<unsigned char>(byte)]);
    out.finish_word(count);
  });
  return out;
}

/// Characters first, then those that end words, each sorted: files do not depend on the order of counting.
tokenize::SymbolWords character_symbols(const WordCounts& words, Trained& trained) {
  std::set<std::string> inside, ends;
  const auto each = [](std::string_view word, auto use) {
    for (size_t at = 0; at < word.size();) {
      const size_t bytes = code_point_at(word, at).bytes;
      use(std::string(word.substr(at, bytes)), at + bytes == word.size());
      at += bytes;
    }
  };
  words.for_each([&](std::string_view word, int64_t) {
    each(word, [&](const std::string& character, bool last) {
      inside.insert(character);
      if (last) ends.insert(character + tokenize::kWordEnd);
    });
  });
  Symbols symbols(trained.tokens);
  for (const std::string& character : inside) symbols.id(character);
  for (const std::string& character : ends) symbols.id(character);
  tokenize::SymbolWords out;
  words.for_each([&](std::string_view word, int64_t count) {
    each(word, [&](const std::string& character, bool last) {
      out.symbols.push_back(symbols.id(last ? character + tokenize::kWordEnd : character));
    });
    out.finish_word(count);
  });
  return out;
}

/// Characters as they begin words and as they stand inside, each sorted.
tokenize::SymbolWords piece_symbols(const WordCounts& words, Trained& trained) {
  std::set<std::string> spellings;
  const auto each = [](std::string_view word, auto use) {
    for (size_t at = 0; at < word.size();) {
      const size_t bytes = code_point_at(word, at).bytes;
      use((at > 0 ? tokenize::kInsidePrefix : "") + std::string(word.substr(at, bytes)));
      at += bytes;
    }
  };
  words.for_each([&](std::string_view word, int64_t) {
    each(word, [&](std::string spelling) { spellings.insert(std::move(spelling)); });
  });
  Symbols symbols(trained.tokens);
  for (const std::string& spelling : spellings) symbols.id(spelling);
  tokenize::SymbolWords out;
  words.for_each([&](std::string_view word, int64_t count) {
    each(word, [&](const std::string& spelling) { out.symbols.push_back(symbols.id(spelling)); });
    out.finish_word(count);
  });
  return out;
}

/// Special tokens, which are never chosen, then pieces by probability.
void take_pieces(const WordCounts& words, const TokenizerTraining& training, Trained& trained) {
  tokenize::UnigramTraining unigram;
  unigram.pieces = static_cast<size_t>(training.vocabulary_size) - trained.tokens.size();
  unigram.minimum_frequency = std::max<int64_t>(2, training.minimum_frequency);
  unigram.threads = training.threads;
  const std::set<std::string> special(trained.tokens.begin(), trained.tokens.end());
  trained.scores.resize(trained.tokens.size());
  for (auto& [piece, score] : tokenize::learn_pieces(by_frequency(words, 0), unigram)) {
    if (special.count(piece)) continue;
    trained.tokens.push_back(std::move(piece));
    trained.scores.push_back(score);
  }
}

void take_merges(const WordCounts& words, const TokenizerTraining& training, Trained& trained) {
  const bool bytes = tokenize::is_byte_level(training.kind), pieces = training.kind == TokenizerKind::wordpiece;
  tokenize::SymbolWords symbols = bytes    ? byte_symbols(words, trained)
                                  : pieces ? piece_symbols(words, trained)
                                           : character_symbols(words, trained);
  require(static_cast<int64_t>(trained.tokens.size()) <= training.vocabulary_size,
          "training a tokenizer: ", trained.tokens.size(),
          " special tokens and characters do not fit into a vocabulary of ", training.vocabulary_size,
          "; raise it, or train a byte-level kind");
  tokenize::LearntMerges learnt =
      tokenize::learn_merges(std::move(symbols), std::move(trained.tokens), training.vocabulary_size,
                             training.minimum_frequency, pieces ? tokenize::kInsidePrefix : "");
  trained.tokens = std::move(learnt.tokens);
  trained.merges = std::move(learnt.merges);
}

void check(const TokenizerTraining& training) {
  const bool bytes = tokenize::is_byte_level(training.kind);
  const int64_t least = static_cast<int64_t>(training.special_tokens.size()) + (bytes ? 256 : 1);
  require(training.vocabulary_size >= least, "training a tokenizer: a vocabulary of ", training.vocabulary_size,
          " has no room for ", training.special_tokens.size(), " special tokens and ", bytes ? "256 bytes" : "one more",
          "; at least ", least, " are needed");
  require(training.vocabulary_size <= int64_t{1} << 24, "training a tokenizer: a vocabulary of ",
          training.vocabulary_size, " is beyond the largest, ", 1 << 24);
  std::set<std::string> seen;
  for (const std::string& token : training.special_tokens) {
    require(!token.empty() && valid_utf8(token), "training a tokenizer: a special token is empty or not UTF-8");
    require(seen.insert(token).second, "training a tokenizer: special token '", token, "' is given twice");
  }
}

/// With the unknown token, for the kinds that need one.
void complete(TokenizerTraining& training) {
  std::vector<std::string>& special = training.special_tokens;
  if (tokenize::is_byte_level(training.kind)) return;
  const char* unknown = tokenize::unknown_token_of(training.kind);
  if (std::find(special.begin(), special.end(), unknown) == special.end()) special.insert(special.begin(), unknown);
}

}  // namespace

/// One table a thread, so that counting needs no locks; put together when training.
class TokenizerTrainer::Counts {
 public:
  std::unique_ptr<tokenize::Splitter> splitter;
  std::unique_ptr<tokenize::TextEncoder> pipeline;  // in place of the splitter
  std::vector<WordCounts> tables;
  std::vector<int64_t> words;
  int64_t bytes = 0;

  WordCounts together() const {
    WordCounts all;
    for (const WordCounts& table : tables) {
      table.for_each([&](std::string_view word, int64_t count) { all.add(word, count); });
    }
    return all;
  }
};

TokenizerKind tokenizer_kind(std::string_view name) {
  const std::vector<std::string> names = {"gpt2", "cl100k", "words-bpe", "words", "characters", "wordpiece", "unigram"};
  const auto found = std::find(names.begin(), names.end(), name);
  require(found != names.end(), "no kind of tokenizer is called '", name, "'", did_you_mean(name, names));
  return static_cast<TokenizerKind>(found - names.begin());
}

std::vector<std::string> usual_special_tokens(TokenizerKind kind) {
  if (kind == TokenizerKind::wordpiece) return {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  if (kind == TokenizerKind::unigram) return {"<pad>", "</s>", "<unk>"};
  return {"<|endoftext|>"};
}

TokenizerTrainer::TokenizerTrainer(TokenizerTraining training)
    : training_(std::move(training)), counts_(std::make_unique<Counts>()) {
  complete(training_);
  check(training_);
  counts_->splitter = tokenize::training_splitter(training_.kind);
  if (!counts_->splitter) counts_->pipeline = tokenize::training_pipeline(training_.kind, training_.lower_case);
  counts_->tables.resize(static_cast<size_t>(tokenize::resolved_threads(training_.threads)));
  counts_->words.resize(counts_->tables.size());
}

TokenizerTrainer::TokenizerTrainer(TokenizerTrainer&&) noexcept = default;
TokenizerTrainer::~TokenizerTrainer() = default;

void TokenizerTrainer::add(std::span<const std::string_view> documents) {
  std::vector<std::string_view> pieces;
  for (std::string_view rest : documents) {
    counts_->bytes += static_cast<int64_t>(rest.size());
    while (rest.size() > 2 * kPiece) {
      const size_t cut = tokenize::cut_behind(rest, kPiece);
      pieces.push_back(rest.substr(0, cut));
      rest.remove_prefix(cut);
    }
    pieces.push_back(rest);
  }
  const bool bytes = tokenize::is_byte_level(training_.kind);
  tokenize::for_each_parallel(pieces.size(), static_cast<int>(counts_->tables.size()), [&](size_t i) {
    const auto thread = static_cast<size_t>(tokenize::thread_number());
    std::string valid;
    if (!bytes && !valid_utf8(pieces[i])) pieces[i] = valid = lossy_utf8(pieces[i]);
    WordCounts& table = counts_->tables[thread];
    int64_t& words = counts_->words[thread];
    counts_->splitter ? count_words(*counts_->splitter, pieces[i], table, words)
                      : count_words(*counts_->pipeline, pieces[i], table, words);
  });
}

void TokenizerTrainer::add_file(const std::string& path) {
  TextInput input(path);
  std::string held;
  for (size_t got = 1; got > 0;) {
    const size_t kept = held.size();
    held.resize(kept + kFilePart);
    got = static_cast<size_t>(input.read(std::span(held).subspan(kept)));
    held.resize(kept + got);
    const size_t ready = got == 0 ? held.size() : tokenize::last_cut(held);
    add(std::string_view(held).substr(0, ready));
    held.erase(0, ready);
  }
}

void TokenizerTrainer::add(std::string_view document) { add({&document, 1}); }

CountedWords TokenizerTrainer::counted() const {
  CountedWords counted{.bytes = counts_->bytes};
  for (const int64_t words : counts_->words) counted.words += words;
  for (const WordCounts& table : counts_->tables) {
    counted.distinct += table.distinct();
    counted.memory_bytes += table.memory_bytes();
  }
  return counted;
}

Tokenizer TokenizerTrainer::train() const {
  const WordCounts words = counts_->together();
  require(words.distinct() > 0, "training a tokenizer: the text has no words (", counts_->bytes, " bytes were read)");
  Trained trained{training_.kind, training_.special_tokens, training_.special_tokens, {}, {}, training_.lower_case};
  if (training_.kind == TokenizerKind::unigram) {
    take_pieces(words, training_, trained);
  } else if (training_.kind == TokenizerKind::words || training_.kind == TokenizerKind::characters) {
    take_words(words, training_, trained);
  } else {
    take_merges(words, training_, trained);
  }
  return Tokenizer::parse(tokenize::trained_json(trained), "the trained tokenizer.json");
}

}  // namespace lathe
