#include "lathe/base/error.h"
#include "lathe/base/hash.h"
#include "lathe/base/numbers.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/json_text.h"
#include "lathe/tokenize/model_json.h"
#include "lathe/tokenize/pipeline_json.h"

namespace lathe::tokenize {
namespace {

std::vector<AddedToken> read_added_tokens(const JsonFields& file) {
  std::vector<AddedToken> added;
  if (!file.find("added_tokens")) return added;
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
    require(id < UINT32_MAX, fields.place("id"), " ", id, " is no possible id");
    token.id = static_cast<TokenId>(id);
    if (!token.content.empty()) added.push_back(std::move(token));
  }
  return added;
}

void add_to_vocabulary(const JsonFields& file, Tokenizer::Parts& parts) {
  for (const AddedToken& token : parts.added) {
    const auto known = parts.vocabulary.id(token.content);
    require(!known || *known == token.id, file.place("added_tokens"), ": '", token.content, "' has id ", token.id,
            " here and ", known.value_or(0), " elsewhere");
    if (known) continue;
    try {
      parts.vocabulary.add(token.content, token.id);
    } catch (const Error& error) {
      throw Error(text(file.place("added_tokens"), ": ", error.what()));
    }
  }
}

void fill_finders(Tokenizer::Parts& parts) {
  std::vector<std::string>& patterns = parts.encoder.normalized_patterns;
  patterns.resize(parts.added.size());
  for (size_t i = 0; i < parts.added.size(); ++i) {
    const AddedToken& token = parts.added[i];
    if (token.normalized) patterns[i] = parts.encoder.normalized(token.content);
    token.normalized ? parts.encoder.in_normalized_text.add(patterns[i], token)
                     : parts.in_raw_text.add(token.content, token);
  }
}

void fill_decoded(const TokenDecoder& decoder, Tokenizer::Parts& parts) {
  TokenTexts& decoded = parts.decoded;
  decoded.once_in_a_row = decoder.once_in_a_row();
  const size_t size = parts.vocabulary.size();
  decoded.bytes.reserve(size);
  decoded.space_after.resize(size);
  decoded.special.resize(size);
  for (TokenId id = 0; id < size; ++id) {
    if (!parts.vocabulary.has(id)) continue;
    const TokenText inside = decoder.text_of(parts.vocabulary.spelling(id), false);
    decoded.bytes.set(id, inside.bytes);
    decoded.space_after[id] = inside.space_after;
    if (!decoder.minds_the_front()) continue;
    std::string in_front = decoder.text_of(parts.vocabulary.spelling(id), true).bytes;
    if (in_front != inside.bytes) decoded.in_front.emplace(id, std::move(in_front));
  }
  for (const AddedToken& token : parts.added) decoded.special[token.id] = token.special;
  decoded.bytes.shrink_to_fit();
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
    if (parts.vocabulary.has(id)) hasher.add((std::to_string(id) + ' ').append(parts.vocabulary.spelling(id)) + '\n');
  }
  for (const AddedToken& token : parts.added) {
    hasher.add(text(token.id, token.single_word, token.lstrip, token.rstrip, token.normalized, token.special, '\n'));
  }
}

/// By id, whether text must not become this token by way of the model.
std::vector<bool> hidden_tokens(const Tokenizer::Parts& parts) {
  std::vector<bool> hidden(parts.vocabulary.size());
  for (const AddedToken& token : parts.added) {
    if (const auto id = parts.vocabulary.id(token.content); id && token.special) hidden[*id] = true;
  }
  return hidden;
}

JsonFields model_of(const JsonFields& file) {
  const auto model = file.object("model");
  require(model.has_value(), file.place("model"),
          " is missing: is this a tokenizer.json of Hugging Face's tokenizers?");
  return *model;
}

std::unique_ptr<Tokenizer::Parts> read_parts(const JsonFields& file, const JsonFields& model, ModelTables tables) {
  auto parts = std::make_unique<Tokenizer::Parts>();
  Pipeline pipeline = read_pipeline(file);
  parts->vocabulary = std::move(tables.vocabulary);
  parts->model_tokens = parts->vocabulary.size();
  parts->added = read_added_tokens(file);
  Hasher hasher;
  read_model(model, pipeline.bytes && !pipeline.spelt, hidden_tokens(*parts), tables, *parts, hasher);
  parts->encoder.takes_bytes = pipeline.bytes;
  const bool bpe = parts->kind == "byte-level BPE";
  if (pipeline.bytes && !bpe && !pipeline.spelt) pipeline.steps.push_back({spelt_in_bytes(), nullptr, false});
  add_to_vocabulary(file, *parts);
  read_post_processor(file, *parts);
  const TokenDecoder decoder(file);
  parts->lossless =
      parts->encoder.takes_bytes && decoder.gives_bytes() && !pipeline.rewrites && has_all_bytes(parts->vocabulary);
  parts->encoder.normalizer = std::move(pipeline.normalizer);
  parts->encoder.steps = std::move(pipeline.steps);
  fill_finders(*parts);
  fill_decoded(decoder, *parts);
  hasher.add(pipeline.settings);
  hash_tokens(*parts, hasher);
  parts->hash = hex(hasher.digest128());
  return parts;
}

}  // namespace

std::unique_ptr<Tokenizer::Parts> read_tokenizer_json(std::string_view json, const std::string& name) {
  simdjson::dom::parser parser;
  const JsonFields file = parse_json(parser, json, name);
  const JsonFields model = model_of(file);
  auto parts = read_parts(file, model, read_model_tables(model));
  parts->json = json;
  return parts;
}

std::unique_ptr<Tokenizer::Parts> read_skeleton(std::string skeleton, ModelTables tables, const std::string& name) {
  simdjson::dom::parser parser;
  const JsonFields file = parse_json(parser, skeleton, name);
  const JsonFields model = model_of(file);
  std::vector<TokenMerge> merges = tables.merges;
  std::vector<double> scores = tables.scores;
  auto parts = read_parts(file, model, std::move(tables));
  parts->skeleton = std::move(skeleton);
  parts->merges = std::move(merges);
  parts->scores = std::move(scores);
  return parts;
}

std::string completed_skeleton(const Tokenizer::Parts& parts) {
  std::string json = parts.skeleton.substr(0, parts.skeleton.size() - 2) + ",\"vocab\":";
  const bool unigram = !parts.scores.empty(), merges = !unigram && parts.kind != "WordPiece";
  json += unigram ? '[' : '{';
  const size_t opened = json.size();
  for (TokenId id = 0; id < parts.model_tokens; ++id) {
    if (!parts.vocabulary.has(id)) continue;
    json += json.size() == opened ? "\n" : ",\n";
    const std::string spelling = json_quoted(parts.vocabulary.spelling(id));
    json += unigram ? '[' + spelling + ',' + format_float(parts.scores[id]) + ']' : spelling + ':' + std::to_string(id);
  }
  json += unigram ? ']' : '}';
  if (merges) json += ",\"merges\":[";
  for (size_t i = 0; i < parts.merges.size(); ++i) {
    const auto side = [&](TokenId id) { return json_quoted(parts.vocabulary.spelling(id)); };
    json += (i ? ",\n[" : "\n[") + side(parts.merges[i].left) + ',' + side(parts.merges[i].right) + ']';
  }
  if (merges) json += ']';
  return json + "}}\n";
}

}  // namespace lathe::tokenize
