#include "lathe/tokenize/model_json.h"

#include <cmath>

#include "lathe/base/error.h"
#include "lathe/tokenize/bpe.h"
#include "lathe/tokenize/unigram.h"
#include "lathe/tokenize/word_level.h"
#include "lathe/tokenize/word_piece.h"

namespace lathe::tokenize {
namespace {

/// Old files name no type.
std::string_view type_of(const JsonFields& model) {
  const auto vocabulary = model.find("vocab");
  const bool unigram = model.find("unk_id") || (vocabulary && vocabulary->is_array());
  const char* guess = model.find("merges")                      ? "BPE"
                      : unigram                                 ? "Unigram"
                      : model.find("continuing_subword_prefix") ? "WordPiece"
                                                                : "WordLevel";
  return model.text("type", guess);
}

/// Calls add() so that errors name the place.
void add_token(Vocabulary& vocabulary, std::string_view spelling, uint64_t id, const std::string& place) {
  try {
    vocabulary.add(spelling, id);
  } catch (const Error& error) {
    throw Error(text(place, ": ", error.what()));
  }
}

void read_vocabulary(const JsonFields& model, Vocabulary& vocabulary) {
  const auto fields = model.object("vocab");
  require(fields.has_value(), model.place("vocab"), " is missing");
  vocabulary.reserve(fields->all().size());
  for (const auto [spelling, element] : fields->all()) {
    uint64_t id = 0;
    require(element.get(id) == simdjson::SUCCESS, fields->place(), ": the id of '", spelling, "' is no whole number");
    add_token(vocabulary, spelling, id, fields->place());
  }
}

/// [["▁the", -3.2], ...]
void read_pieces(const JsonFields& model, ModelTables& tables) {
  const simdjson::dom::array pieces = model.array("vocab");
  tables.vocabulary.reserve(pieces.size());
  for (const simdjson::dom::element element : pieces) {
    const uint64_t id = tables.scores.size();
    simdjson::dom::array piece;
    double score = 0;
    const bool pair = element.get(piece) == simdjson::SUCCESS && piece.size() == 2 &&
                      piece.at(1).get(score) == simdjson::SUCCESS && std::isfinite(score);
    require(pair, model.place("vocab"), '[', id, "] must be a piece and its score");
    add_token(tables.vocabulary, json_text(piece.at(0), model.place("vocab")), id, model.place("vocab"));
    tables.scores.push_back(score);
  }
}

/// "left right", or [left, right].
std::pair<std::string_view, std::string_view> merge_sides(simdjson::dom::element element, const std::string& place) {
  simdjson::dom::array pair;
  if (element.get(pair) == simdjson::SUCCESS) {
    require(pair.size() == 2, place, " must have two sides, not ", pair.size());
    return {json_text(pair.at(0), place), json_text(pair.at(1), place)};
  }
  const std::string_view both = json_text(element, place);
  const size_t space = both.find(' ');
  require(space != std::string_view::npos && both.find(' ', space + 1) == std::string_view::npos, place,
          " must be two tokens with one space between, not '", both, "'");
  return {both.substr(0, space), both.substr(space + 1)};
}

void read_merges(const JsonFields& model, ModelTables& tables) {
  const auto element = model.find("merges");
  if (element && element->is_object() && JsonFields(*element, "").all().size() == 0) return;  // {} for none
  const simdjson::dom::array merges = model.array("merges");
  const size_t prefix = model.text("continuing_subword_prefix", "").size();
  tables.merges.reserve(merges.size());
  for (const simdjson::dom::element merge : merges) {
    const std::string place = model.place("merges") + '[' + std::to_string(tables.merges.size()) + ']';
    const auto [left, right] = merge_sides(merge, place);
    const auto id_of = [&](std::string_view token) {
      const auto id = tables.vocabulary.id(token);
      require(id.has_value(), place, " needs the token '", token, "', which model.vocab lacks");
      return *id;
    };
    const std::string made = std::string(left) + std::string(right.substr(std::min(prefix, right.size())));
    tables.merges.push_back({id_of(left), id_of(right), id_of(made)});
  }
}

std::optional<TokenId> read_unknown(const JsonFields& model, const Vocabulary& vocabulary) {
  const auto element = model.find("unk_token");
  if (!element) return std::nullopt;
  const std::string_view token = json_text(*element, model.place("unk_token"));
  const auto id = vocabulary.id(token);
  require(id.has_value(), model.place("unk_token"), " '", token, "' is not in model.vocab");
  return id;
}

/// Refuses settings that would change ids and are not built here.
void check_bpe(const JsonFields& model, bool bytes) {
  const auto dropout = model.find("dropout");
  double rate = 0;
  require(!dropout || (dropout->get(rate) == simdjson::SUCCESS && rate == 0), model.place("dropout"),
          " makes ids random and is not supported; set it to null");
  require(!bytes || model.text("continuing_subword_prefix", "").empty(), model.place("continuing_subword_prefix"),
          ": byte-level BPE that marks the inside of words is not supported");
}

void read_bpe(const JsonFields& model, bool bytes, std::vector<bool> hidden, const ModelTables& tables,
              Tokenizer::Parts& parts, Hasher& hasher) {
  check_bpe(model, bytes);
  parts.unknown = read_unknown(model, parts.vocabulary);
  BpeSettings settings;
  settings.bytes = bytes;
  settings.inside_prefix = model.text("continuing_subword_prefix", "");
  settings.end_of_word_suffix = model.text("end_of_word_suffix", "");
  settings.unknown = parts.unknown;
  settings.byte_fallback = model.flag("byte_fallback", false) && !bytes;
  settings.fuse_unknown = model.flag("fuse_unk", false);
  settings.whole_words_first = model.flag("ignore_merges", false);
  settings.hidden = std::move(hidden);
  hasher.add(text("bpe ", settings.bytes, ' ', settings.end_of_word_suffix, ' ', settings.unknown.value_or(UINT32_MAX),
                  ' ', settings.fuse_unknown, ' ', settings.whole_words_first));
  if (settings.byte_fallback) hasher.add(std::string_view(" byte fallback"));
  if (!settings.inside_prefix.empty()) hasher.add(" inside " + settings.inside_prefix);
  parts.kind = settings.bytes                         ? "byte-level BPE"
               : settings.byte_fallback               ? "BPE with byte fallback"
               : tables.merges.empty()                ? "character-level"
               : !settings.end_of_word_suffix.empty() ? "BPE on words"
                                                      : "BPE";
  MergeTable table(tables.merges.size());
  uint32_t rank = 0;
  for (const TokenMerge& merge : tables.merges) {
    const TokenId ids[3] = {merge.left, merge.right, merge.result};
    table.add(merge.left, merge.right, {rank++, merge.result});
    hasher.add(std::as_bytes(std::span(ids)));
  }
  parts.encoder.model = std::make_unique<Bpe>(parts.vocabulary, std::move(settings), std::move(table));
}

void read_word_piece(const JsonFields& model, const std::vector<bool>& hidden, Tokenizer::Parts& parts,
                     Hasher& hasher) {
  WordPieceSettings settings;
  settings.inside_prefix = model.text("continuing_subword_prefix", "##");
  if (model.find("max_input_chars_per_word")) settings.most_characters = model.number("max_input_chars_per_word");
  parts.unknown = parts.vocabulary.id(model.text("unk_token", "[UNK]"));
  require(parts.unknown.has_value(), model.place("unk_token"), " '", model.text("unk_token", "[UNK]"),
          "' is not in model.vocab, and WordPiece needs it");
  settings.unknown = *parts.unknown;
  hasher.add(text("word piece ", settings.inside_prefix, ' ', settings.most_characters, ' ', settings.unknown));
  parts.kind = "WordPiece";
  parts.encoder.model = std::make_unique<WordPiece>(parts.vocabulary, std::move(settings), hidden);
}

void read_unigram(const JsonFields& model, std::vector<bool> hidden, ModelTables& tables, Tokenizer::Parts& parts,
                  Hasher& hasher) {
  UnigramSettings settings;
  if (model.find("unk_id")) {
    const uint64_t id = model.number("unk_id");
    require(id < tables.scores.size(), model.place("unk_id"), " ", id, " is beyond the vocabulary of ",
            tables.scores.size());
    parts.unknown = settings.unknown = static_cast<TokenId>(id);
  }
  settings.byte_fallback = model.flag("byte_fallback", false);
  settings.hidden = std::move(hidden);
  hasher.add(text("unigram ", settings.unknown.value_or(UINT32_MAX), ' ', settings.byte_fallback));
  hasher.add(std::as_bytes(std::span(tables.scores)));
  parts.kind = settings.byte_fallback ? "Unigram with byte fallback" : "Unigram";
  parts.encoder.model = std::make_unique<Unigram>(parts.vocabulary, std::move(tables.scores), std::move(settings));
}

void read_word_level(const JsonFields& model, Tokenizer::Parts& parts, Hasher& hasher) {
  parts.unknown = read_unknown(model, parts.vocabulary);
  require(parts.unknown.has_value(), model.place("unk_token"), " is missing, which WordLevel needs");
  parts.kind = "word-level";
  parts.encoder.model = std::make_unique<WordLevel>(parts.vocabulary, *parts.unknown);
  hasher.add(text("word-level ", *parts.unknown));
}

}  // namespace

ModelTables read_model_tables(const JsonFields& model) {
  ModelTables tables;
  const std::string_view type = type_of(model);
  if (type == "Unigram") {
    read_pieces(model, tables);
  } else {
    read_vocabulary(model, tables.vocabulary);
  }
  if (type == "BPE") read_merges(model, tables);
  return tables;
}

void read_model(const JsonFields& model, bool bytes, std::vector<bool> hidden, ModelTables& tables,
                Tokenizer::Parts& parts, Hasher& hasher) {
  const std::string_view type = type_of(model);
  if (type == "BPE") return read_bpe(model, bytes, std::move(hidden), tables, parts, hasher);
  if (type == "WordPiece") return read_word_piece(model, hidden, parts, hasher);
  if (type == "Unigram") return read_unigram(model, std::move(hidden), tables, parts, hasher);
  require(type == "WordLevel", model.place(), ": tokenizers of the kind '", type,
          "' are not supported; BPE, WordPiece, Unigram and WordLevel are");
  read_word_level(model, parts, hasher);
}

}  // namespace lathe::tokenize
