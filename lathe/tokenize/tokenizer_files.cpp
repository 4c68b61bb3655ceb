#include "lathe/tokenize/tokenizer_files.h"

#include <filesystem>
#include <fstream>

#include "lathe/base/error.h"
#include "lathe/base/gguf.h"
#include "lathe/base/text_input.h"

namespace lathe::tokenize {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestFile = int64_t{1} << 30;

/// The first bytes of a file.
std::string head_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string head(64, '\0');
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(in.gcount()));
  return head;
}

/// "IQ== 0": base64, a space, a number. Some models name such a file tokenizer.model.
bool looks_like_ranks(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\n'));
  const size_t space = line.find(' ');
  return space != std::string_view::npos && space > 0 &&
         line.find_first_not_of("0123456789\r", space + 1) == std::string_view::npos && line.size() > space + 1;
}

TokenizerFormat format_of(const fs::path& path) {
  const std::string name = path.filename().string(), extension = path.extension().string();
  if (is_gguf(path.string())) return TokenizerFormat::gguf;
  if (name == "vocab.json") return TokenizerFormat::vocabulary_and_merges;
  if (extension == ".txt") return TokenizerFormat::word_pieces;
  if (extension != ".model" && extension != ".tiktoken") return TokenizerFormat::json;
  return looks_like_ranks(head_of(path.string())) ? TokenizerFormat::tiktoken : TokenizerFormat::sentencepiece;
}

/// The only file of a directory with this extension; empty for none or several.
fs::path only_file(const fs::path& directory, const char* extension) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == extension) found.push_back(entry.path());
  }
  return found.size() == 1 ? found[0] : fs::path();
}

fs::path file_in(const fs::path& directory) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"}) {
    if (fs::exists(directory / name)) return directory / name;
  }
  if (fs::exists(directory / "vocab.json") && fs::exists(directory / "merges.txt")) return directory / "vocab.json";
  if (fs::exists(directory / "vocab.txt")) return directory / "vocab.txt";
  for (const char* extension : {".tiktoken", ".model", ".gguf"}) {
    if (const fs::path file = only_file(directory, extension); !file.empty()) return file;
  }
  throw Error(
      text("directory ", directory.string(),
           " holds no tokenizer: tokenizer.json, a SentencePiece .model, vocab.json with merges.txt, vocab.txt, "
           "a .tiktoken or a .gguf file"));
}

}  // namespace

TokenizerFile find_tokenizer_file(const std::string& path) {
  const bool inside = fs::is_directory(path);
  const fs::path directory = inside ? fs::path(path) : fs::path(path).parent_path();
  const fs::path file = inside ? file_in(directory) : fs::path(path);
  return {format_of(file), file.string(), directory.string()};
}

std::unique_ptr<Tokenizer::Parts> read_tokenizer_file(const TokenizerFile& file, const VocabularySettings& said) {
  if (file.format == TokenizerFormat::gguf) return read_gguf_vocabulary(GgufFile(file.path).fields());
  const std::string content = read_text(file.path, kLargestFile);
  if (file.format == TokenizerFormat::json) return read_tokenizer_json(content, file.path);
  VocabularySettings settings = said;
  if (settings.tokenizer_class.empty()) settings.tokenizer_class = tokenizer_class_of_model(file.directory);
  if (file.format != TokenizerFormat::vocabulary_and_merges)
    return read_tokenizer(content, file.path, file.format, settings);
  const fs::path merges = fs::path(file.path).parent_path() / "merges.txt";
  return read_vocabulary_and_merges(content, read_text(merges.string(), kLargestFile), file.path, settings);
}

std::unique_ptr<Tokenizer::Parts> read_tokenizer(std::string_view content, const std::string& name,
                                                 TokenizerFormat format, const VocabularySettings& settings) {
  switch (format) {
    case TokenizerFormat::sentencepiece:
      return read_sentencepiece_model(content, name, settings);
    case TokenizerFormat::tiktoken:
      return read_tiktoken_ranks(content, name);
    case TokenizerFormat::word_pieces:
      return read_word_pieces(content, name, settings);
    case TokenizerFormat::gguf:
      return read_gguf_vocabulary(parse_gguf(bytes_of(content), name).fields);
    default:
      return read_tokenizer_json(content, name);
  }
}

}  // namespace lathe::tokenize
