// Vocabularies of GGUF files: tokenizer.ggml.* as llama.cpp writes them.
#include <algorithm>
#include <span>

#include "lathe/base/error.h"
#include "lathe/base/gguf.h"
#include "lathe/tokenize/gguf_splits.h"
#include "lathe/tokenize/sentencepiece.h"
#include "lathe/tokenize/tokenizer_files.h"

namespace lathe::tokenize {
namespace {

constexpr const char* kPrefix = "tokenizer.ggml.";
constexpr std::string_view kMark = "\xE2\x96\x81";

std::string key(std::string_view name) { return kPrefix + std::string(name); }

/// A token that the file names by id; nullopt when it names none.
std::optional<TokenId> named_token(const GgufFields& fields, std::string_view name, size_t tokens) {
  const int64_t id = fields.integer(key(name), -1);
  if (id < 0 || id == UINT32_MAX) return std::nullopt;
  require(static_cast<uint64_t>(id) < tokens, fields.place(key(name)), " is ", id, ", beyond the vocabulary of ",
          tokens);
  return static_cast<TokenId>(id);
}

std::vector<Piece> read_pieces(const GgufFields& fields) {
  const std::vector<std::string_view> tokens = fields.strings(key("tokens"));
  require(!tokens.empty(), fields.place(key("tokens")), " is empty");
  std::vector<Piece> pieces(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) pieces[id].text = tokens[id];
  if (fields.has(key("scores"))) {
    const std::vector<float> scores = fields.numbers(key("scores"));
    require(scores.size() == tokens.size(), fields.place(key("scores")), " has ", scores.size(), " entries for ",
            tokens.size(), " tokens");
    for (size_t id = 0; id < tokens.size(); ++id) pieces[id].score = scores[id];
  }
  if (!fields.has(key("token_type"))) return pieces;
  const std::vector<int64_t> types = fields.integers(key("token_type"));
  require(types.size() == tokens.size(), fields.place(key("token_type")), " has ", types.size(), " entries for ",
          tokens.size(), " tokens");
  const std::string place = fields.place(key("token_type"));
  for (size_t id = 0; id < tokens.size(); ++id) {
    require(types[id] >= 1 && types[id] <= 6, place, " of token ", id, " is ", types[id], ", which is none of 1 to 6");
    pieces[id].type = static_cast<PieceType>(types[id]);
  }
  return pieces;
}

/// The tokens that the file wants around a text.
void read_ends(const GgufFields& fields, size_t tokens, bool begins, bool ends, std::vector<TokenId>& before,
               std::vector<TokenId>& after) {
  const auto begin = named_token(fields, "bos_token_id", tokens), end = named_token(fields, "eos_token_id", tokens);
  if (begin && fields.boolean(key("add_bos_token"), begins)) before.push_back(*begin);
  if (end && fields.boolean(key("add_eos_token"), ends)) after.push_back(*end);
}

/// In Phi-3's files special tokens take the whitespace behind them along, save three.
void mark_phi3(const GgufFields& fields, std::vector<AddedToken>& added) {
  std::string name = fields.string("general.name", "");
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return;
  for (AddedToken& token : added) {
    token.rstrip = token.content != "<unk>" && token.content != "<s>" && token.content != "<|endoftext|>";
  }
}

std::unique_ptr<Tokenizer::Parts> read_llama(const GgufFields& fields) {
  SentencePieceModel model{read_pieces(fields), {}};
  SentencePieceOptions& options = model.options;
  options.unigram = false;
  options.add_dummy_prefix = fields.boolean(key("add_space_prefix"), true);
  options.remove_extra_whitespaces = fields.boolean(key("remove_extra_whitespaces"), false);
  options.unknown = named_token(fields, "unknown_token_id", model.pieces.size());
  options.added = added_pieces(model.pieces);
  mark_phi3(fields, options.added);
  read_ends(fields, model.pieces.size(), true, false, options.before, options.after);
  return sentencepiece_tokenizer(std::move(model), fields.file());
}

std::unique_ptr<Tokenizer::Parts> read_t5(const GgufFields& fields) {
  SentencePieceModel model{read_pieces(fields), {}};
  SentencePieceOptions& options = model.options;
  options.add_dummy_prefix = fields.boolean(key("add_space_prefix"), true);
  options.remove_extra_whitespaces = fields.boolean(key("remove_extra_whitespaces"), true);
  options.unknown = named_token(fields, "unknown_token_id", model.pieces.size());
  if (const GgufValue* charsmap = fields.find(key("precompiled_charsmap"))) {
    const bool bytes =
        charsmap->type == GgufType::array && (charsmap->element == GgufType::u8 || charsmap->element == GgufType::i8);
    require(bytes, fields.place(key("precompiled_charsmap")), " must be a list of bytes");
    options.charsmap = text_of(charsmap->bytes);
  }
  read_ends(fields, model.pieces.size(), false, true, options.before, options.after);
  return sentencepiece_tokenizer(std::move(model), fields.file());
}

/// Pieces that begin a word carry a mark there, those inside one nothing; BERT's own files write it the other way.
std::string word_piece_of(const Piece& piece) {
  const std::string_view text = piece.text;
  if (text.substr(0, kMark.size()) == kMark) return std::string(text.substr(kMark.size()));
  const bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  return piece.type != PieceType::normal || bracketed ? std::string(text) : "##" + std::string(text);
}

std::unique_ptr<Tokenizer::Parts> read_bert(const GgufFields& fields) {
  std::vector<Piece> pieces = read_pieces(fields);
  std::vector<std::string> spelt;
  spelt.reserve(pieces.size());
  for (Piece& piece : pieces) piece.text = spelt.emplace_back(word_piece_of(piece));
  ModelTables tables{piece_vocabulary(pieces, fields.file()), {}, {}};
  for (const char* token : {"[UNK]", "[CLS]", "[SEP]"}) {
    require(tables.vocabulary.id(token).has_value(), fields.place(key("tokens")), " has no ", token,
            ", which a vocabulary of BERT needs");
  }
  WordPieceOptions options;
  for (auto [name, option] : {std::pair("normalizer.lowercase", &options.lowercase),
                              std::pair("normalizer.strip_accents", &options.strip_accents)})
    if (fields.has(key(name))) *option = fields.boolean(key(name));
  std::string skeleton = word_piece_skeleton(tables.vocabulary, options);
  return read_skeleton(std::move(skeleton), std::move(tables), fields.file());
}

void read_merges(const GgufFields& fields, ModelTables& tables) {
  const std::vector<std::string_view> merges = fields.strings(key("merges"));
  const std::string place = fields.place(key("merges"));
  std::string both;
  tables.merges.reserve(merges.size());
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t space = merges[i].find(' ', 1);
    const std::string_view left = merges[i].substr(0, space);
    const std::string_view right = space == std::string_view::npos ? "" : merges[i].substr(space + 1);
    both.assign(left).append(right);
    const auto first = tables.vocabulary.id(left), second = tables.vocabulary.id(right),
               id = tables.vocabulary.id(both);
    require(first && second && id, place, " ", i, " '", merges[i],
            "' is not two tokens, with a space between, that make a third");
    tables.merges.push_back({*first, *second, *id});
  }
}

std::unique_ptr<Tokenizer::Parts> read_gpt2(const GgufFields& fields) {
  const std::vector<Piece> pieces = read_pieces(fields);
  ModelTables tables{piece_vocabulary(pieces, fields.file()), {}, {}};
  read_merges(fields, tables);
  const GgufSplit split = gguf_split(fields.string(key("pre"), "default"), fields.place(key("pre")));
  ByteLevelOptions options{.pre_tokenizer = split.pre_tokenizer, .whole_words_first = split.whole_words_first};
  options.added = added_pieces(pieces);
  read_ends(fields, pieces.size(), split.begins, false, options.before, options.after);
  if (split.roberta && !options.before.empty() && !options.after.empty()) {
    const auto spelt = [&](TokenId id) { return std::string(pieces[id].text); };
    options.post_processor =
        roberta_processor(tables.vocabulary, spelt(options.before[0]), spelt(options.after[0]), false);
  }
  std::string skeleton = byte_level_skeleton(options, tables.vocabulary);
  return read_skeleton(std::move(skeleton), std::move(tables), fields.file());
}

std::unique_ptr<Tokenizer::Parts> read_model(const GgufFields& fields) {
  const std::string model = fields.string(key("model"));
  if (model == "gpt2") return read_gpt2(fields);
  if (model == "llama") return read_llama(fields);
  if (model == "t5") return read_t5(fields);
  require(model == "bert", fields.place(key("model")), " '", model, "' is not supported; gpt2, llama, bert and t5 are");
  return read_bert(fields);
}

}  // namespace

std::unique_ptr<Tokenizer::Parts> read_gguf_vocabulary(const GgufFields& fields) {
  auto parts = read_model(fields);
  const size_t tokens = parts->vocabulary.size();
  parts->begin = named_token(fields, "bos_token_id", tokens);
  parts->end = named_token(fields, "eos_token_id", tokens);
  parts->pad = named_token(fields, "padding_token_id", tokens);
  parts->mask = named_token(fields, "mask_token_id", tokens);
  parts->cls = named_token(fields, "cls_token_id", tokens);
  parts->sep = named_token(fields, "seperator_token_id", tokens);  // so spelt by llama.cpp
  return parts;
}

}  // namespace lathe::tokenize
