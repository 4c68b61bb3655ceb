#include "lathe/tokenize/bpe.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/pipeline_json.h"
#include "lathe/tokenize/word_level.h"

#include "lathe/base/error.h"
#include "lathe/base/hash.h"

namespace lathe::tokenize {
namespace {

void read_vocabulary(const JsonFields& model, Vocabulary& vocabulary) {
  const auto fields = model.object("vocab");
  require(fields.has_value(), model.place("vocab"), " is missing");
  vocabulary.reserve(fields->all().size());
  for (const auto [spelling, element] : fields->all()) {
    uint64_t id = 0;
    require(element.get(id) == simdjson::SUCCESS, fields->place(), ": the id of '", spelling, "' is no whole number");
    try {
      vocabulary.add(spelling, id);
    } catch (const Error& error) {
      throw Error(text(fields->place(), ": ", error.what()));
    }
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

MergeTable read_merges(const JsonFields& model, const Vocabulary& vocabulary, Hasher& hasher) {
  const simdjson::dom::array merges = model.array("merges");
  MergeTable table(merges.size());
  uint32_t rank = 0;
  for (const simdjson::dom::element element : merges) {
    const std::string place = model.place("merges") + '[' + std::to_string(rank) + ']';
    const auto [left, right] = merge_sides(element, place);
    const auto id_of = [&](std::string_view token) {
      const auto id = vocabulary.id(token);
      require(id.has_value(), place, " needs the token '", token, "', which model.vocab lacks");
      return *id;
    };
    const TokenId ids[3] = {id_of(left), id_of(right), id_of(std::string(left) + std::string(right))};
    table.add(ids[0], ids[1], {rank++, ids[2]});
    hasher.add(std::as_bytes(std::span(ids)));
  }
  return table;
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
  require(!model.flag("byte_fallback", false), model.place("byte_fallback"),
          ": BPE with byte fallback (SentencePiece's) is not supported yet");
  require(model.text("continuing_subword_prefix", "").empty(), model.place("continuing_subword_prefix"),
          ": BPE that marks the inside of words is not supported");
  require(!bytes || model.text("end_of_word_suffix", "").empty(), model.place("end_of_word_suffix"),
          ": byte-level BPE with an end-of-word mark is not supported");
}

void read_bpe(const JsonFields& model, const Pipeline& pipeline, Tokenizer::Parts& parts, Hasher& hasher) {
  check_bpe(model, pipeline.bytes);
  BpeSettings settings;
  settings.bytes = pipeline.bytes;
  settings.end_of_word_suffix = model.text("end_of_word_suffix", "");
  settings.unknown = parts.unknown;
  settings.fuse_unknown = model.flag("fuse_unk", false);
  settings.whole_words_first = model.flag("ignore_merges", false);
  hasher.add(text("bpe ", settings.bytes, ' ', settings.end_of_word_suffix, ' ', settings.unknown.value_or(UINT32_MAX),
                  ' ', settings.fuse_unknown, ' ', settings.whole_words_first));
  const bool merges = model.array("merges").size() > 0;
  parts.kind = settings.bytes                         ? "byte-level BPE"
               : !merges                              ? "character-level"
               : !settings.end_of_word_suffix.empty() ? "BPE on words"
                                                      : "BPE";
  MergeTable table = read_merges(model, parts.vocabulary, hasher);
  parts.model = std::make_unique<Bpe>(parts.vocabulary, std::move(settings), std::move(table));
}

void read_model(const JsonFields& model, const Pipeline& pipeline, Tokenizer::Parts& parts, Hasher& hasher) {
  // Files of tokenizers before 0.9 name no type; what has merges is BPE.
  const std::string_view type = model.text("type", model.find("merges") ? "BPE" : "");
  require(type == "BPE" || type == "WordLevel", model.place(), ": tokenizers of the kind '", type,
          "' are not supported yet; byte-level BPE, BPE on words, WordLevel and characters are");
  read_vocabulary(model, parts.vocabulary);
  parts.unknown = read_unknown(model, parts.vocabulary);
  if (type == "BPE") return read_bpe(model, pipeline, parts, hasher);
  require(parts.unknown.has_value(), model.place("unk_token"), " is missing, which WordLevel needs");
  require(!pipeline.bytes, model.place(), ": WordLevel behind ByteLevel is not supported");
  parts.kind = "word-level";
  parts.model = std::make_unique<WordLevel>(parts.vocabulary, *parts.unknown);
  hasher.add(text("word-level ", *parts.unknown));
}

void read_added_tokens(const JsonFields& file, Tokenizer::Parts& parts) {
  const auto list = file.find("added_tokens");
  if (!list) return;
  size_t i = 0;
  for (const simdjson::dom::element element : file.array("added_tokens")) {
    const JsonFields fields(element, file.place("added_tokens") + '[' + std::to_string(i++) + ']');
    AddedToken token{.content = std::string(fields.text("content")),
                     .single_word = fields.flag("single_word", false),
                     .lstrip = fields.flag("lstrip", false),
                     .rstrip = fields.flag("rstrip", false),
                     .normalized = fields.flag("normalized", true),
                     .special = fields.flag("special", false)};
    const uint64_t id = fields.number("id");
    if (token.content.empty()) continue;
    const auto known = parts.vocabulary.id(token.content);
    require(!known || *known == id, fields.place(), ": '", token.content, "' has id ", id, " here and ",
            known.value_or(0), " elsewhere");
    if (!known) parts.vocabulary.add(token.content, id);
    token.id = static_cast<TokenId>(id);
    parts.added.push_back(std::move(token));
  }
}

void fill_finders(Tokenizer::Parts& parts) {
  for (const AddedToken& token : parts.added) {
    parts.added_normalized.push_back(parts.compose ? composed(token.content) : token.content);
  }
  for (size_t i = 0; i < parts.added.size(); ++i) {
    const AddedToken& token = parts.added[i];
    (token.normalized ? parts.in_normalized_text : parts.in_raw_text).add(parts.added_normalized[i], token);
  }
}

void fill_decoded(const Pipeline& pipeline, Tokenizer::Parts& parts) {
  parts.decoded.resize(parts.vocabulary.size());
  for (TokenId id = 0; id < parts.vocabulary.size(); ++id) {
    if (!parts.vocabulary.has(id)) continue;
    parts.decoded[id] = decoded_token(pipeline, parts.vocabulary.spelling(id));
  }
  for (const AddedToken& token : parts.added) {
    parts.decoded[token.id] = {token.content, pipeline.decoder == Decoder::join_by_spaces, token.special};
  }
}

bool has_all_bytes(const Vocabulary& vocabulary) {
  for (int byte = 0; byte < 256; ++byte) {
    const char value = static_cast<char>(byte);
    if (!vocabulary.id(spell_bytes({&value, 1}))) return false;
  }
  return true;
}

void hash_tokens(const Tokenizer::Parts& parts, Hasher& hasher) {
  for (TokenId id = 0; id < parts.vocabulary.size(); ++id) {
    if (parts.vocabulary.has(id)) hasher.add(text(id, ' ', parts.vocabulary.spelling(id), '\n'));
  }
  for (const AddedToken& token : parts.added) {
    hasher.add(text(token.id, token.single_word, token.lstrip, token.rstrip, token.normalized, token.special, '\n'));
  }
}

}  // namespace

std::unique_ptr<Tokenizer::Parts> read_tokenizer_json(std::string_view json, const std::string& name) {
  auto parts = std::make_unique<Tokenizer::Parts>();
  simdjson::dom::parser parser;
  const JsonFields file = parse_json(parser, json, name);
  const auto model = file.object("model");
  require(model.has_value(), file.place("model"),
          " is missing: is this a tokenizer.json of Hugging Face's tokenizers?");
  Hasher hasher;
  Pipeline pipeline = read_pipeline(file);
  read_model(*model, pipeline, *parts, hasher);
  read_added_tokens(file, *parts);
  read_template(file, *parts);
  parts->compose = pipeline.compose;
  parts->replaces_invalid = !pipeline.bytes;
  parts->space_in_front = pipeline.space_in_front;
  parts->splitter = std::move(pipeline.splitter);
  parts->lossless = pipeline.bytes && pipeline.decoder == Decoder::bytes && !parts->compose && !parts->space_in_front &&
                    has_all_bytes(parts->vocabulary);
  fill_finders(*parts);
  fill_decoded(pipeline, *parts);
  hasher.add(pipeline.settings);
  hash_tokens(*parts, hasher);
  parts->hash = hex(hasher.digest128());
  parts->json = json;
  return parts;
}

}  // namespace lathe::tokenize
