#include "lathe/data/document_reader.h"

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"

namespace lathe::data {

bool clean_text(std::string& bytes, OnInvalidUtf8 policy, const std::string& where) {
  const size_t nul = bytes.find('\0');
  require(nul == std::string::npos, where, ": holds a NUL byte (", nul,
          " bytes on), so it is binary or UTF-16, not UTF-8 text: convert it, or leave the file out");
  if (valid_utf8(bytes)) return true;
  if (policy == OnInvalidUtf8::skip) return false;
  require(policy == OnInvalidUtf8::replace, where, ": is not UTF-8 (", first_invalid_utf8(bytes),
          " bytes on): convert it with iconv, or use --invalid-utf8 replace or skip");
  bytes = lossy_utf8(bytes);
  return true;
}

std::unique_ptr<DocumentReader> open_documents(const std::string& path, const ReadOptions& options) {
  const TextFormat format = options.format == TextFormat::automatic ? format_of(path) : options.format;
  switch (format) {
    case TextFormat::json_lines:
      return open_json_lines(path, options);
    case TextFormat::csv:
      return open_table(path, options, ',');
    case TextFormat::tsv:
      return open_table(path, options, '\t');
    default:
      return open_plain_text(path, options);
  }
}

}  // namespace lathe::data
