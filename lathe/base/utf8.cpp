#include "lathe/base/utf8.h"

#include <simdjson.h>

#include "lathe/base/error.h"

namespace lathe {
namespace {

struct Lead {
  size_t bytes;        // of the whole character; 0 when no character starts so
  unsigned low, high;  // what its second byte may be (Unicode, table 3-7)
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2 || byte > 0xF4) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte < 0xF0) return {3, byte == 0xE0 ? 0xA0u : 0x80u, byte == 0xED ? 0x9Fu : 0xBFu};
  return {4, byte == 0xF0 ? 0x90u : 0x80u, byte == 0xF4 ? 0x8Fu : 0xBFu};
}

/// How many bytes from `offset` on are the start of some character: all of `lead.bytes` when it is whole.
size_t matching_bytes(std::string_view text, size_t offset, const Lead& lead) {
  size_t count = 1;
  for (; count < lead.bytes && offset + count < text.size(); ++count) {
    unsigned byte = static_cast<unsigned char>(text[offset + count]);
    if (byte < (count == 1 ? lead.low : 0x80) || byte > (count == 1 ? lead.high : 0xBF)) break;
  }
  return count;
}

}  // namespace

bool valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

size_t first_invalid_utf8(std::string_view text) {
  if (valid_utf8(text)) return text.size();
  size_t offset = 0;
  while (offset < text.size()) {
    CodePoint character = code_point_at(text, offset);
    if (!character.valid()) break;
    offset += character.bytes;
  }
  return offset;
}

CodePoint code_point_at(std::string_view text, size_t offset) {
  unsigned char first = static_cast<unsigned char>(text[offset]);
  if (first < 0x80) return {first, 1};
  Lead lead = lead_of(first);
  if (lead.bytes == 0) return {CodePoint::kInvalid, 1};
  size_t count = matching_bytes(text, offset, lead);
  if (count < lead.bytes) return {CodePoint::kInvalid, count};
  char32_t value = first & (0xFFu >> (lead.bytes + 1));
  for (size_t i = 1; i < count; ++i) value = value << 6 | (static_cast<unsigned char>(text[offset + i]) & 0x3Fu);
  return {value, count};
}

size_t utf8_complete_prefix(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    size_t offset = text.size() - back;
    unsigned char byte = static_cast<unsigned char>(text[offset]);
    if (byte >= 0x80 && byte < 0xC0) continue;
    Lead lead = lead_of(byte);
    bool unfinished = lead.bytes > back && matching_bytes(text, offset, lead) == back;
    return unfinished ? offset : text.size();
  }
  return text.size();
}

std::string lossy_utf8(std::string_view text) {
  if (valid_utf8(text)) return std::string(text);
  std::string valid;
  valid.reserve(text.size() + 16);
  for (size_t offset = 0; offset < text.size();) {
    CodePoint character = code_point_at(text, offset);
    if (character.valid())
      valid.append(text, offset, character.bytes);
    else
      valid += "\xEF\xBF\xBD";
    offset += character.bytes;
  }
  return valid;
}

void append_utf8(std::string& text, char32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) throw InternalError("append_utf8: not a character");
  auto put = [&](unsigned byte) { text += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

void CodePoints::Iterator::read() {
  if (offset_ < text_.size()) current_ = code_point_at(text_, offset_);
}

CodePoints::Iterator& CodePoints::Iterator::operator++() {
  offset_ += current_.bytes;
  read();
  return *this;
}

CodePoints::Iterator CodePoints::Iterator::operator++(int) {
  Iterator before = *this;
  ++*this;
  return before;
}

}  // namespace lathe
