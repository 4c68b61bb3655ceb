#include "lathe/tokenize/tokenizer.h"

#include <atomic>
#include <filesystem>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/parts.h"
#include "lathe/tokenize/tokenizer_files.h"
#include "lathe/tokenize/vocabulary_settings.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

uint64_t next_number() {
  static std::atomic<uint64_t> number = 0;
  return ++number;
}

/// What models usually call these tokens, for files that do not say.
void guess_names(Tokenizer::Parts& parts) {
  const auto first_of = [&](std::initializer_list<const char*> names) -> std::optional<TokenId> {
    for (const char* name : names) {
      if (const auto id = parts.vocabulary.id(name); id && parts.decoded.special[*id]) return id;
    }
    return std::nullopt;
  };
  const auto guess = [&](std::optional<TokenId>& id, std::initializer_list<const char*> names) {
    if (!id) id = first_of(names);
  };
  guess(parts.begin, {"<|begin_of_text|>", "<s>", "<bos>", "[BOS]"});
  guess(parts.end, {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]"});
  guess(parts.pad, {"<pad>", "[PAD]", "<|pad|>"});
  guess(parts.mask, {"<mask>", "[MASK]"});
  guess(parts.cls, {"[CLS]"});
  guess(parts.sep, {"[SEP]"});
}

std::unique_ptr<Tokenizer::Parts> finished(std::unique_ptr<Tokenizer::Parts> parts) {
  parts->number = next_number();
  parts->encoder.prepare(parts->number);
  guess_names(*parts);
  return parts;
}

/// Appends the text of `id`, which follows `before`.
void append_token(const tokenize::TokenTexts& decoded, TokenId id, std::optional<TokenId> before, bool& space_due,
                  std::string& text) {
  if (decoded.once_in_a_row && before == id) return;
  if (space_due) text += ' ';
  const auto in_front = before ? decoded.in_front.end() : decoded.in_front.find(id);
  text += in_front == decoded.in_front.end() ? decoded.bytes[id] : std::string_view(in_front->second);
  space_due = decoded.space_after[id];
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::string& path) {
  const tokenize::TokenizerFile file = tokenize::find_tokenizer_file(path);
  if (file.format == TokenizerFormat::gguf) return Tokenizer(finished(tokenize::read_tokenizer_file(file, {})));
  const tokenize::VocabularySettings settings = tokenize::read_vocabulary_settings(file.directory);
  std::unique_ptr<Parts> parts = finished(tokenize::read_tokenizer_file(file, settings));
  tokenize::name_tokens(settings, *parts);
  return Tokenizer(std::move(parts));
}

Tokenizer Tokenizer::parse(std::string_view content, const std::string& name, TokenizerFormat format) {
  return Tokenizer(finished(tokenize::read_tokenizer(content, name, format)));
}

void Tokenizer::save(const std::string& path) const {
  if (fs::path(path).extension() == ".json") return replace_file(path, json());
  fs::create_directories(path);
  replace_file((fs::path(path) / "tokenizer.json").string(), json());
  replace_file((fs::path(path) / "tokenizer_config.json").string(), tokenize::tokenizer_config_json(*parts_));
}

const std::string& Tokenizer::json() const {
  std::call_once(parts_->json_made, [this] {
    if (parts_->json.empty()) parts_->json = tokenize::completed_skeleton(*parts_);
  });
  return parts_->json;
}

void Tokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  tokenize::encode_segments(*parts_, text, {}, ids);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  encode(text, ids);
  return ids;
}

void Tokenizer::encode_ordinary(std::string_view text, std::vector<TokenId>& ids) const {
  parts_->encoder.encode(text, {}, false, ids);
}

std::vector<TokenId> Tokenizer::encode_with_template(std::string_view text) const {
  std::vector<TokenId> ids;
  for (const tokenize::TemplatePiece& piece : parts_->post.single) {
    piece.text < 0 ? ids.push_back(piece.id) : encode(text, ids);
  }
  return ids;
}

std::optional<Truncation> Tokenizer::truncation() const { return parts_->post.truncation; }
std::optional<Padding> Tokenizer::padding() const { return parts_->post.padding; }

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  bool space_due = false;
  std::optional<TokenId> before;
  for (const TokenId id : ids) {
    require(id < parts_->decoded.bytes.size(), "decoding: token ", id, " is beyond the vocabulary of ",
            parts_->decoded.bytes.size());
    append_token(parts_->decoded, id, before, space_due, text);
    before = id;
  }
  return text;
}

std::string Tokenizer::decode_text(std::span<const TokenId> ids) const {
  TextStream stream(*this);
  std::string text;
  for (const TokenId id : ids) text += stream.push(id);
  return text + stream.finish();
}

int64_t Tokenizer::vocabulary_size() const { return static_cast<int64_t>(parts_->vocabulary.size()); }
std::optional<TokenId> Tokenizer::id(std::string_view token) const { return parts_->vocabulary.id(token); }

std::string_view Tokenizer::token(TokenId id) const {
  require(id < parts_->vocabulary.size(), "token ", id, " is beyond the vocabulary of ", parts_->vocabulary.size());
  return parts_->vocabulary.spelling(id);
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const { return parts_->added; }
bool Tokenizer::is_special(TokenId id) const {
  return id < parts_->decoded.bytes.size() && parts_->decoded.special[id];
}
std::optional<TokenId> Tokenizer::begin_token() const { return parts_->begin; }
std::optional<TokenId> Tokenizer::end_token() const { return parts_->end; }
std::optional<TokenId> Tokenizer::unknown_token() const { return parts_->unknown; }
std::optional<TokenId> Tokenizer::pad_token() const { return parts_->pad; }
std::optional<TokenId> Tokenizer::mask_token() const { return parts_->mask; }
const std::string& Tokenizer::kind() const { return parts_->kind; }
bool Tokenizer::lossless() const { return parts_->lossless; }
const std::string& Tokenizer::hash() const { return parts_->hash; }

TextStream::TextStream(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

std::string TextStream::push(TokenId id) {
  const tokenize::TokenTexts& decoded = tokenizer_->parts_->decoded;
  require(id < decoded.bytes.size(), "decoding: token ", id, " is beyond the vocabulary of ", decoded.bytes.size());
  if (decoded.special[id]) return {};
  append_token(decoded, id, before_, space_due_, held_);
  before_ = id;
  const size_t ready = utf8_complete_prefix(held_);
  std::string out = lossy_utf8(std::string_view(held_).substr(0, ready));
  held_.erase(0, ready);
  return out;
}

std::string TextStream::finish() {
  std::string out = lossy_utf8(held_);
  held_.clear();
  before_.reset();
  space_due_ = false;
  return out;
}

}  // namespace lathe
