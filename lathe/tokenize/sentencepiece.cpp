#include "lathe/tokenize/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/protobuf.h"
#include "lathe/tokenize/tokenizer_files.h"

namespace lathe::tokenize {
namespace {

/// Bytes of a piece of BPE, of which each way to cut it is looked up; SentencePiece's trainer allows 512 by itself.
constexpr size_t kLongestMerged = 512;

float float_of(uint64_t bits) {
  const auto low = static_cast<uint32_t>(bits);
  float value = 0;
  std::memcpy(&value, &low, sizeof(value));
  return value;
}

/// SentencePiece { string piece = 1; float score = 2; Type type = 3; }
Piece read_piece(std::string_view message, size_t id, const std::string& name) {
  Piece piece;
  const std::string place = text(name, ": piece ", id);
  ProtobufReader reader(message, place);
  while (const auto field = reader.next()) {
    if (field->number == 1) piece.text = field->bytes;
    if (field->number == 2) piece.score = float_of(field->value);
    if (field->number != 3) continue;
    require(field->value >= 1 && field->value <= 6, place, " has type ", field->value, ", which is none of 1 to 6");
    piece.type = static_cast<PieceType>(field->value);
  }
  return piece;
}

/// TrainerSpec { ModelType model_type = 3; bool treat_whitespace_as_suffix = 24; bool byte_fallback = 35; }
void read_trainer(std::string_view message, const std::string& name, SentencePieceOptions& options) {
  ProtobufReader reader(message, name);
  while (const auto field = reader.next()) {
    if (field->number == 3) {
      require(field->value == 1 || field->value == 2, name, ": SentencePiece models of type ", field->value,
              " are not supported; 1 (Unigram) and 2 (BPE) are");
      options.unigram = field->value == 1;
    }
    require(field->number != 24 || field->value == 0, name,
            ": treat_whitespace_as_suffix, spaces behind words, is not supported");
    if (field->number == 35) options.byte_fallback = field->value != 0;
  }
}

/// NormalizerSpec { bytes precompiled_charsmap = 2; bool add_dummy_prefix = 3, remove_extra_whitespaces = 4,
/// escape_whitespaces = 5; }
void read_normalizer_spec(std::string_view message, const std::string& name, SentencePieceOptions& options) {
  ProtobufReader reader(message, name);
  while (const auto field = reader.next()) {
    if (field->number == 2) options.charsmap = field->bytes;
    if (field->number == 3) options.add_dummy_prefix = field->value != 0;
    if (field->number == 4) options.remove_extra_whitespaces = field->value != 0;
    require(field->number != 5 || field->value != 0, name,
            ": spaces that stay spaces (escape_whitespaces) are not supported");
  }
}

}  // namespace

Vocabulary piece_vocabulary(const std::vector<Piece>& pieces, const std::string& name) {
  Vocabulary vocabulary;
  vocabulary.reserve(pieces.size());
  for (size_t id = 0; id < pieces.size(); ++id) {
    require(valid_utf8(pieces[id].text), name, ": token ", id, " is not UTF-8");
    try {
      vocabulary.add(pieces[id].text, id);
    } catch (const Error& error) {
      throw Error(text(name, ": ", error.what()));
    }
  }
  return vocabulary;
}

std::vector<AddedToken> added_pieces(const std::vector<Piece>& pieces) {
  std::vector<AddedToken> added;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const bool special = pieces[id].type == PieceType::control || pieces[id].type == PieceType::unknown;
    if (pieces[id].text.empty() || (!special && pieces[id].type != PieceType::user_defined)) continue;
    added.push_back({.content = std::string(pieces[id].text), .id = static_cast<TokenId>(id), .special = special});
  }
  return added;
}

std::unique_ptr<Tokenizer::Parts> sentencepiece_tokenizer(SentencePieceModel model, const std::string& name) {
  ModelTables tables{piece_vocabulary(model.pieces, name), {}, {}};
  SentencePieceOptions& options = model.options;
  if (options.added.empty()) options.added = added_pieces(model.pieces);
  std::vector<float> scores;
  std::vector<bool> takes_part;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    require(std::isfinite(piece.score), name, ": the score of token ", id, " is no number");
    require(options.unigram || piece.type != PieceType::normal || piece.text.size() <= kLongestMerged, name, ": token ",
            id, " has ", piece.text.size(), " bytes; those that scores put together have at most ", kLongestMerged,
            ". Make it a user-defined one (type 4), which is found whole");
    if (piece.type == PieceType::unknown && !options.unknown) options.unknown = static_cast<TokenId>(id);
    if (piece.type == PieceType::byte) options.byte_fallback = true;
    scores.push_back(piece.score);
    takes_part.push_back(piece.type == PieceType::normal);
  }
  if (options.unigram) {
    tables.scores.assign(scores.begin(), scores.end());
  } else {
    tables.merges = merges_by_score(tables.vocabulary, scores, takes_part);
  }
  std::string skeleton = sentencepiece_skeleton(options, tables.vocabulary);
  return read_skeleton(std::move(skeleton), std::move(tables), name);
}

namespace {

const std::vector<UsualToken> kOfT5 = {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
const std::vector<UsualToken> kOfLlama = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
const std::vector<UsualToken> kOfGemma = {
    {"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};

constexpr int64_t kUsualSentinels = 100;
constexpr int64_t kMostSentinels = 10000;

/// The tokens that T5 puts in the place of what is left out, behind the vocabulary, the first last.
void add_sentinels(const VocabularySettings& settings, const std::string& name, size_t pieces,
                   std::vector<AddedToken>& added) {
  for (const AddedToken& token : added)
    if (token.content == "<extra_id_0>" && token.id != pieces) return;
  const int64_t count = settings.extra_ids.value_or(kUsualSentinels);
  require(count >= 0 && count <= kMostSentinels, name, ": extra_ids ", count, " must be from 0 to ", kMostSentinels);
  std::erase_if(added, [](const AddedToken& token) { return token.content.starts_with("<extra_id_"); });
  for (int64_t i = count; i-- > 0; ++pieces)
    added.push_back({.content = text("<extra_id_", i, ">"), .id = static_cast<TokenId>(pieces), .special = true});
}

/// Adds to the tokens of the model's own file what others name.
void add_named(const VocabularySettings& settings, const std::vector<UsualToken>& usual, const Vocabulary& vocabulary,
               std::vector<AddedToken>& added) {
  for (AddedToken& token : added_tokens_of(settings, usual, vocabulary)) {
    const auto there =
        std::find_if(added.begin(), added.end(), [&](const AddedToken& other) { return other.id == token.id; });
    if (there == added.end())
      added.push_back(std::move(token));
    else
      *there = std::move(token);
  }
}

/// Tokens around texts and where a space goes, of the kinds that transformers has a class for.
void apply(const VocabularySettings& settings, const std::string& name, SentencePieceModel& model) {
  const std::string& kind = settings.tokenizer_class;
  SentencePieceOptions& options = model.options;
  const bool t5 = kind == "T5", llama = kind == "Llama" || kind == "CodeLlama", gemma = kind == "Gemma";
  const std::vector<UsualToken>& usual = t5 ? kOfT5 : gemma ? kOfGemma : kOfLlama;
  const Vocabulary vocabulary = piece_vocabulary(model.pieces, name);
  options.added = added_pieces(model.pieces);
  add_named(settings, usual, vocabulary, options.added);
  if (t5) add_sentinels(settings, name, model.pieces.size(), options.added);
  const auto add = [&](bool wanted, const char* role, const char* spelling, std::vector<TokenId>& where) {
    if (!wanted) return;
    const std::string token = settings.name(role, spelling);
    const auto one = std::find_if(options.added.begin(), options.added.end(),
                                  [&](const AddedToken& added) { return added.content == token; });
    require(one != options.added.end(), name, ": texts are to have a ", role, ", but \"", token,
            "\" is none of the special tokens");
    where.push_back(one->id);
  };
  add(settings.add_bos_token.value_or(llama || gemma), "bos_token", gemma ? "<bos>" : "<s>", options.before);
  add(settings.add_eos_token.value_or(t5), "eos_token", gemma ? "<eos>" : "</s>", options.after);
  if (!llama) return;
  options.add_dummy_prefix = settings.add_prefix_space.value_or(options.add_dummy_prefix);
  if (options.add_dummy_prefix) options.prepend_scheme = settings.legacy.value_or(false) ? "always" : "first";
}

}  // namespace

/// ModelProto { repeated SentencePiece pieces = 1; TrainerSpec trainer_spec = 2; NormalizerSpec normalizer_spec = 3; }
std::unique_ptr<Tokenizer::Parts> read_sentencepiece_model(std::string_view bytes, const std::string& name,
                                                           const VocabularySettings& settings) {
  SentencePieceModel model;
  ProtobufReader reader(bytes, name);
  while (const auto field = reader.next()) {
    if (field->number == 1) model.pieces.push_back(read_piece(field->bytes, model.pieces.size(), name));
    if (field->number == 2) read_trainer(field->bytes, name, model.options);
    if (field->number == 3) read_normalizer_spec(field->bytes, name, model.options);
  }
  require(!model.pieces.empty(), name, " has no pieces: is this a SentencePiece model?");
  const bool said = settings.has_config || !settings.tokenizer_class.empty() || !settings.tokens.empty();
  if (said) apply(settings, name, model);
  return sentencepiece_tokenizer(std::move(model), name);
}

}  // namespace lathe::tokenize
