#include "lathe/base/text_input.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "lathe/base/error.h"
#include "lathe/base/file_descriptor.h"

namespace lathe {
namespace {

constexpr size_t kChunk = 256 << 10;

/// A file read in chunks, of which the unconsumed rest is visible.
class Chunks {
 public:
  explicit Chunks(const std::string& path) : path_(path), file_(open_for_reading(path)), chunk_(kChunk) {
    struct stat status {};
    if (::fstat(file_.number(), &status) == 0 && S_ISREG(status.st_mode)) file_bytes_ = status.st_size;
  }

  std::span<const char> rest() const { return {chunk_.data() + begin_, end_ - begin_}; }
  void consume(size_t count) { begin_ += count; }

  /// True when the rest is not empty, after reading more if needed.
  bool refill() {
    if (begin_ < end_) return true;
    begin_ = 0;
    end_ = read_some(chunk_);
    position_ += int64_t(end_);
    return end_ > 0;
  }

  /// Up to into.size() bytes from the file, past the rest; 0 at the end.
  size_t read_some(std::span<char> into) {
    while (true) {
      ssize_t got = ::read(file_.number(), into.data(), into.size());
      if (got >= 0) return size_t(got);
      require(errno == EINTR, "cannot read ", path_, ": ", system_message(errno));
    }
  }

  const std::string& path() const { return path_; }
  int64_t file_bytes() const { return file_bytes_; }
  int64_t position() const { return position_ - int64_t(end_ - begin_); }

 private:
  std::string path_;
  FileDescriptor file_;
  std::vector<char> chunk_;
  size_t begin_ = 0, end_ = 0;
  int64_t position_ = 0, file_bytes_ = 0;
};

/// One compressed format: turns the rest of `in` into bytes. `finished` means that the file may end here.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Consumes from `in` and writes to `into`; returns the bytes written, 0 when it wants more input.
  virtual size_t decode(Chunks& in, std::span<char> into) = 0;
  virtual bool finished() const = 0;
  virtual const char* name() const = 0;
};

class GzipDecoder : public Decoder {
 public:
  GzipDecoder() { require(inflateInit2(&stream_, 15 + 16) == Z_OK, "cannot start gzip: no memory"); }
  ~GzipDecoder() override { inflateEnd(&stream_); }

  size_t decode(Chunks& in, std::span<char> into) override {
    if (finished_ && !start_member(in)) return 0;
    std::span<const char> rest = in.rest();
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest.data()));
    stream_.avail_in = uInt(rest.size());
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = uInt(std::min<size_t>(into.size(), 1u << 30));
    size_t asked = stream_.avail_out;
    int status = inflate(&stream_, Z_NO_FLUSH);
    require(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, in.path(),
            ": corrupt gzip data at byte ", in.position(), ": ", stream_.msg ? stream_.msg : "unknown error");
    in.consume(rest.size() - stream_.avail_in);
    finished_ = status == Z_STREAM_END;
    return asked - stream_.avail_out;
  }
  bool finished() const override { return finished_; }
  const char* name() const override { return "gzip"; }

 private:
  /// After a member either another one follows or zeros that pad the file, as gzip itself accepts.
  bool start_member(Chunks& in) {
    std::span<const char> rest = in.rest();
    if (rest[0] == 0) {
      in.consume(1);
      return false;
    }
    require(inflateReset(&stream_) == Z_OK, in.path(), ": cannot restart gzip");
    finished_ = false;
    return true;
  }

  z_stream stream_{};
  bool finished_ = false;
};

class ZstdDecoder : public Decoder {
 public:
  ZstdDecoder() : stream_(ZSTD_createDStream()) { require(stream_ != nullptr, "cannot start zstd: no memory"); }
  ~ZstdDecoder() override { ZSTD_freeDStream(stream_); }

  size_t decode(Chunks& in, std::span<char> into) override {
    std::span<const char> rest = in.rest();
    ZSTD_inBuffer source{rest.data(), rest.size(), 0};
    ZSTD_outBuffer target{into.data(), into.size(), 0};
    size_t status = ZSTD_decompressStream(stream_, &target, &source);
    require(!ZSTD_isError(status), in.path(), ": corrupt zstd data at byte ", in.position(), ": ",
            ZSTD_getErrorName(status));
    in.consume(source.pos);
    finished_ = status == 0;
    return target.pos;
  }
  bool finished() const override { return finished_; }
  const char* name() const override { return "zstd"; }

 private:
  ZSTD_DStream* stream_;
  bool finished_ = false;
};

bool starts_with(std::span<const char> bytes, std::string_view magic) {
  return std::string_view(bytes.data(), bytes.size()).substr(0, magic.size()) == magic;
}

std::unique_ptr<Decoder> decoder_for(Chunks& in) {
  in.refill();
  bool gzip = starts_with(in.rest(), "\x1f\x8b");
  bool zstd = starts_with(in.rest(), "\x28\xb5\x2f\xfd");
  require(gzip || !in.path().ends_with(".gz"), in.path(), ": named .gz, but it is not gzip data");
  require(zstd || !in.path().ends_with(".zst"), in.path(), ": named .zst, but it is not zstd data");
  if (gzip) return std::make_unique<GzipDecoder>();
  if (zstd) return std::make_unique<ZstdDecoder>();
  return nullptr;
}

}  // namespace

class TextInput::Source {
 public:
  explicit Source(const std::string& path) : chunks(path), decoder_(decoder_for(chunks)) {}

  /// Some bytes, at least one unless the input has ended.
  size_t read_some(std::span<char> into) {
    if (!decoder_) return read_plain(into);
    while (true) {
      // Without new input a decoder may still hold output, so it runs before the end is believed.
      if (!chunks.refill()) {
        if (decoder_->finished()) return 0;
        size_t left = decoder_->decode(chunks, into);
        require(left > 0 || decoder_->finished(), chunks.path(), ": ", decoder_->name(),
                " data is truncated: the file ends after ", chunks.position(), " bytes, inside the compressed stream");
        return left;
      }
      if (size_t count = decoder_->decode(chunks, into)) return count;
    }
  }

  Chunks chunks;

 private:
  size_t read_plain(std::span<char> into) {
    if (!chunks.refill()) return 0;
    size_t count = std::min(into.size(), chunks.rest().size());
    std::copy_n(chunks.rest().data(), count, into.data());
    chunks.consume(count);
    return count;
  }

  std::unique_ptr<Decoder> decoder_;
};

TextInput::TextInput(const std::string& path) : source_(std::make_unique<Source>(path)) {}
TextInput::TextInput(TextInput&&) noexcept = default;
TextInput& TextInput::operator=(TextInput&&) noexcept = default;
TextInput::~TextInput() = default;

int64_t TextInput::read(std::span<char> into) {
  size_t filled = 0;
  while (filled < into.size()) {
    size_t count = source_->read_some(into.subspan(filled));
    if (count == 0) break;
    filled += count;
  }
  return int64_t(filled);
}

const std::string& TextInput::path() const { return source_->chunks.path(); }
int64_t TextInput::file_bytes() const { return source_->chunks.file_bytes(); }
int64_t TextInput::file_position() const { return source_->chunks.position(); }

std::string read_text(const std::string& path, int64_t limit) {
  TextInput input(path);
  std::string all;
  while (true) {
    size_t before = all.size();
    all.resize(before + std::max<size_t>(kChunk, before / 2));
    size_t count = size_t(input.read(std::span(all).subspan(before)));
    all.resize(before + count);
    require(int64_t(all.size()) <= limit, path, ": larger than the ", limit, " bytes that are read at once");
    if (count == 0) return all;
  }
}

}  // namespace lathe
