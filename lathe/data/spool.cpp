#include "lathe/data/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"

namespace lathe::data {
namespace {

constexpr int64_t kCopied = int64_t{1} << 18;  // tokens at a time

FileDescriptor open_unnamed(const std::string& directory) {
  std::string name = directory + "/spool-XXXXXX";
  const int number = mkostemp(name.data(), O_CLOEXEC);
  require(number >= 0, directory, ": cannot write there: ", system_message(errno));
  unlink(name.c_str());
  return FileDescriptor(number);
}

}  // namespace

Spool::Spool(const std::string& directory, int token_bytes)
    : directory_(directory), file_(open_unnamed(directory)), token_bytes_(token_bytes) {}

void Spool::add(const EncodedChunk& chunk) {
  for (Bytes rest = chunk.tokens; !rest.empty();) {
    const ssize_t written = ::write(file_.number(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    require(written >= 0, directory_, ": cannot write ", format_bytes(static_cast<int64_t>(rest.size())),
            " more of tokens: ", system_message(errno), " (", format_bytes(free_bytes(directory_)),
            " free): make room, or choose another --out");
    rest = rest.subspan(static_cast<size_t>(written));
  }
  for (const EncodedChunk::Piece& piece : chunk.pieces) {
    open_.tokens += piece.tokens;
    open_.bytes += piece.bytes;
    open_.source = piece.source;
    tokens_ += piece.tokens;
    if (!piece.ends_document) continue;
    if (piece.keep && open_.tokens > 0) documents_.push_back(open_);
    open_ = {.first_token = tokens_};
  }
}

void Spool::cut_document(size_t index, int64_t tokens, int64_t bytes) {
  SpooledDocument rest = documents_[index];
  rest.first_token += tokens;
  rest.tokens -= tokens;
  rest.bytes -= bytes;
  documents_[index].tokens = tokens;
  documents_[index].bytes = bytes;
  documents_.insert(documents_.begin() + static_cast<int64_t>(index) + 1, rest);
}

Bytes Spool::read_bytes(int64_t first, int64_t count) {
  buffer_.resize(static_cast<size_t>(count * token_bytes_));
  for (size_t done = 0; done < buffer_.size();) {
    const ssize_t got = ::pread(file_.number(), buffer_.data() + done, buffer_.size() - done,
                                static_cast<off_t>(first * token_bytes_) + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    require(got > 0, directory_, ": tokens cannot be read back: ", system_message(got < 0 ? errno : EIO));
    done += static_cast<size_t>(got);
  }
  return buffer_;
}

std::vector<uint32_t> Spool::read(int64_t first, int64_t count) {
  const Bytes bytes = read_bytes(first, count);
  std::vector<uint32_t> tokens(static_cast<size_t>(count));
  for (size_t i = 0; i < tokens.size(); ++i)
    std::memcpy(&tokens[i], bytes.data() + i * static_cast<size_t>(token_bytes_), static_cast<size_t>(token_bytes_));
  return tokens;
}

void Spool::copy_document(size_t index, SplitWriter& to) {
  const SpooledDocument& document = documents_[index];
  for (int64_t done = 0; done < document.tokens; done += kCopied)
    to.add(read_bytes(document.first_token + done, std::min(kCopied, document.tokens - done)));
  to.end_document(document.bytes);
}

}  // namespace lathe::data
