#include "lathe/files/zip_archive.h"

#include <algorithm>
#include <cstring>

#include "lathe/base/error.h"

namespace lathe {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr uint64_t kEndBytes = 22, kLocatorBytes = 20, kCentralBytes = 46, kLocalBytes = 30, kLongestComment = 65535;

/// One entry as the central directory describes it.
struct Entry {
  uint64_t size = 0, packed = 0, local = 0;
};

class ArchiveReader {
 public:
  ArchiveReader(Bytes archive, const std::string& path) : archive_(archive), path_(path) {}

  std::unordered_map<std::string, Bytes> read() {
    find_directory();
    std::unordered_map<std::string, Bytes> files;
    check(entries_ <= archive_.size() / kCentralBytes, text(entries_, " files cannot be in it"));
    for (uint64_t i = 0, at = directory_; i < entries_; ++i) at = read_entry(at, files);
    return files;
  }

 private:
  Bytes archive_;
  const std::string& path_;
  uint64_t directory_ = 0, entries_ = 0;

  void check(bool holds, std::string_view what) const {
    require(holds, path_, ": a broken ZIP archive: ", what, "; the file is truncated or damaged");
  }

  template <class T>
  T number(uint64_t at) const {
    check(at <= archive_.size() && sizeof(T) <= archive_.size() - at, "it ends inside a number");
    T value;
    std::memcpy(&value, archive_.data() + at, sizeof(T));
    return value;
  }

  Bytes part(uint64_t at, uint64_t count, std::string_view what) const {
    check(at <= archive_.size() && count <= archive_.size() - at, what);
    return archive_.subspan(size_t(at), size_t(count));
  }

  uint64_t end_record() const {
    uint64_t size = archive_.size();
    check(size >= kEndBytes, "it is too short");
    uint64_t last = size - kEndBytes, first = last - std::min(last, kLongestComment);
    for (uint64_t at = last + 1; at-- > first;)
      if (number<uint32_t>(at) == kEnd) return at;
    throw Error(text(path_, ": no ZIP archive, or a truncated one: it has no end record"));
  }

  void find_directory() {
    uint64_t end = end_record();
    entries_ = number<uint16_t>(end + 10);
    directory_ = number<uint32_t>(end + 16);
    if (end < kLocatorBytes || number<uint32_t>(end - kLocatorBytes) != kLocator64) return;
    auto wide = number<uint64_t>(end - kLocatorBytes + 8);
    check(wide < archive_.size() && number<uint32_t>(wide) == kEnd64, "its 64-bit end record is missing");
    check(wide + 56 <= archive_.size(), "its 64-bit end record is cut");
    entries_ = number<uint64_t>(wide + 32);
    directory_ = number<uint64_t>(wide + 48);
  }

  /// Sizes above 32 bits stand in an extra field, those alone that do not fit, in this order.
  void read_wide(Bytes extra, Entry& entry) const {
    while (extra.size() >= 4) {
      uint16_t id, size;
      std::memcpy(&id, extra.data(), 2);
      std::memcpy(&size, extra.data() + 2, 2);
      check(size <= extra.size() - 4, "an extra field ends outside");
      Bytes field = extra.subspan(4, size);
      extra = extra.subspan(4 + size_t(size));
      if (id != 1) continue;
      for (uint64_t* value : {&entry.size, &entry.packed, &entry.local}) {
        if (*value != UINT32_MAX) continue;
        check(field.size() >= 8, "a 64-bit size is missing");
        std::memcpy(value, field.data(), 8);
        field = field.subspan(8);
      }
    }
  }

  uint64_t read_entry(uint64_t at, std::unordered_map<std::string, Bytes>& files) const {
    check(number<uint32_t>(at) == kCentral, "its directory is damaged");
    auto flags = number<uint16_t>(at + 8), method = number<uint16_t>(at + 10);
    Entry entry{number<uint32_t>(at + 24), number<uint32_t>(at + 20), number<uint32_t>(at + 42)};
    uint64_t name_bytes = number<uint16_t>(at + 28), extra_bytes = number<uint16_t>(at + 30);
    std::string name(text_of(part(at + kCentralBytes, name_bytes, "a name ends outside")));
    read_wide(part(at + kCentralBytes + name_bytes, extra_bytes, "an extra field ends outside"), entry);
    require(method == 0 && (flags & 1) == 0, path_, ": \"", name,
            "\" in it is compressed or encrypted; PyTorch stores files as they are");
    check(entry.size == entry.packed, text("\"", name, "\" has two sizes"));
    require(files.emplace(name, contents(entry, name)).second, path_, ": \"", name, "\" is in it twice");
    return at + kCentralBytes + name_bytes + extra_bytes + number<uint16_t>(at + 32);
  }

  Bytes contents(const Entry& entry, const std::string& name) const {
    check(entry.local < archive_.size() && number<uint32_t>(entry.local) == kLocal,
          text("\"", name, "\" is not where the directory says"));
    uint64_t skip = kLocalBytes + number<uint16_t>(entry.local + 26) + number<uint16_t>(entry.local + 28);
    return part(entry.local + skip, entry.size, text("\"", name, "\" ends outside"));
  }
};

}  // namespace

ZipArchive::ZipArchive(Bytes archive, const std::string& path) : files_(ArchiveReader(archive, path).read()) {}

const Bytes* ZipArchive::find(const std::string& name) const {
  auto found = files_.find(name);
  return found == files_.end() ? nullptr : &found->second;
}

}  // namespace lathe
