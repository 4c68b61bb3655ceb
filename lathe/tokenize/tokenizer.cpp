#include "lathe/tokenize/tokenizer.h"

#include <atomic>
#include <filesystem>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/text_input.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/parts.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestFile = int64_t{1} << 30;

uint64_t next_number() {
  static std::atomic<uint64_t> number = 0;
  return ++number;
}

/// What models usually call the ends of a text, for files that do not say.
void guess_ends(Tokenizer::Parts& parts) {
  const auto first_of = [&](std::initializer_list<const char*> names) -> std::optional<TokenId> {
    for (const char* name : names) {
      if (const auto id = parts.vocabulary.id(name); id && parts.decoded[*id].special) return id;
    }
    return std::nullopt;
  };
  parts.begin = first_of({"<|begin_of_text|>", "<s>", "<bos>", "[BOS]"});
  parts.end = first_of({"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]"});
}

std::unique_ptr<Tokenizer::Parts> read_parts(std::string_view json, const std::string& name) {
  std::unique_ptr<Tokenizer::Parts> parts = tokenize::read_tokenizer_json(json, name);
  parts->number = next_number();
  guess_ends(*parts);
  return parts;
}

void append_token(const Tokenizer::Parts::Decoded& token, bool& space_due, std::string& text) {
  if (space_due) text += ' ';
  text += token.bytes;
  space_due = token.space_after;
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::string& path) {
  const fs::path directory = fs::is_directory(path) ? fs::path(path) : fs::path(path).parent_path();
  const fs::path file = fs::is_directory(path) ? directory / "tokenizer.json" : fs::path(path);
  std::string json;
  if (fs::is_directory(path) && !fs::exists(file) && fs::exists(directory / "merges.txt")) {
    json = tokenize::join_vocabulary_and_merges(read_text((directory / "vocab.json").string(), kLargestFile),
                                                read_text((directory / "merges.txt").string(), kLargestFile), path);
  } else {
    json = read_text(file.string(), kLargestFile);
  }
  std::unique_ptr<Parts> parts = read_parts(json, file.string());
  const fs::path config = directory / "tokenizer_config.json";
  if (fs::exists(config))
    tokenize::read_tokenizer_config(read_text(config.string(), kLargestFile), config.string(), *parts);
  return Tokenizer(std::move(parts));
}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& name) { return Tokenizer(read_parts(json, name)); }

void Tokenizer::save(const std::string& path) const {
  if (fs::path(path).extension() == ".json") return replace_file(path, parts_->json);
  fs::create_directories(path);
  replace_file((fs::path(path) / "tokenizer.json").string(), parts_->json);
  replace_file((fs::path(path) / "tokenizer_config.json").string(), tokenize::tokenizer_config_json(*parts_));
}

const std::string& Tokenizer::json() const { return parts_->json; }

void Tokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  tokenize::encode_segments(*parts_, text, ids);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  encode(text, ids);
  return ids;
}

void Tokenizer::encode_ordinary(std::string_view text, std::vector<TokenId>& ids) const {
  if (!parts_->compose) return tokenize::encode_words(*parts_, text, ids);
  tokenize::encode_words(*parts_, tokenize::composed(text), ids);
}

std::vector<TokenId> Tokenizer::encode_with_template(std::string_view text) const {
  std::vector<TokenId> ids = parts_->before;
  encode(text, ids);
  ids.insert(ids.end(), parts_->after.begin(), parts_->after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  bool space_due = false;
  for (const TokenId id : ids) {
    require(id < parts_->decoded.size(), "decoding: token ", id, " is beyond the vocabulary of ",
            parts_->decoded.size());
    append_token(parts_->decoded[id], space_due, text);
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

const std::string& Tokenizer::token(TokenId id) const {
  require(id < parts_->vocabulary.size(), "token ", id, " is beyond the vocabulary of ", parts_->vocabulary.size());
  return parts_->vocabulary.spelling(id);
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const { return parts_->added; }
bool Tokenizer::is_special(TokenId id) const { return id < parts_->decoded.size() && parts_->decoded[id].special; }
std::optional<TokenId> Tokenizer::begin_token() const { return parts_->begin; }
std::optional<TokenId> Tokenizer::end_token() const { return parts_->end; }
std::optional<TokenId> Tokenizer::unknown_token() const { return parts_->unknown; }
const std::string& Tokenizer::kind() const { return parts_->kind; }
bool Tokenizer::lossless() const { return parts_->lossless; }
const std::string& Tokenizer::hash() const { return parts_->hash; }

TextStream::TextStream(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

std::string TextStream::push(TokenId id) {
  const auto& decoded = tokenizer_->parts_->decoded;
  require(id < decoded.size(), "decoding: token ", id, " is beyond the vocabulary of ", decoded.size());
  if (decoded[id].special) return {};
  append_token(decoded[id], space_due_, held_);
  const size_t ready = utf8_complete_prefix(held_);
  std::string out = lossy_utf8(std::string_view(held_).substr(0, ready));
  held_.erase(0, ready);
  return out;
}

std::string TextStream::finish() {
  std::string out = lossy_utf8(held_);
  held_.clear();
  space_due_ = false;
  return out;
}

}  // namespace lathe
