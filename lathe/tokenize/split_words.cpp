#include <algorithm>

#include "lathe/tokenize/scan.h"
#include "lathe/tokenize/splitter.h"

namespace lathe::tokenize {
namespace {

/// Where the run of characters whose `mask` bits are `wanted` ends.
const char* masked_end(const char* p, const char* end, uint8_t mask, uint8_t wanted) {
  while (p != end) {
    const Character c = character_at(p, end);
    if ((class_of(c.code) & mask) != wanted) return p;
    p += c.bytes;
  }
  return p;
}

/// Words are runs of one class; runs whose bits hold kSpace are left out.
size_t split_runs(uint8_t mask, std::string_view text, size_t offset, size_t limit,
                  std::vector<std::string_view>& words) {
  const char* p = text.data() + offset;
  const char* const end = text.data() + text.size();
  while (limit > 0 && p != end) {
    const auto kind = static_cast<uint8_t>(class_of(character_at(p, end).code) & mask);
    const char* next = masked_end(p, end, mask, kind);
    if (!(kind & kSpace)) {
      words.emplace_back(p, static_cast<size_t>(next - p));
      --limit;
    }
    p = next;
  }
  return static_cast<size_t>(p - text.data());
}

class WordSplitter final : public Splitter {
 public:
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    return split_runs(kWord | kSpace, text, offset, limit, words);
  }
};

class WhitespaceSplitter final : public Splitter {
 public:
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    return split_runs(kSpace, text, offset, limit, words);
  }
};

/// By Unicode 17, as Hugging Face's Digits; the classes are of 16.
bool is_numeric(uint32_t code) {
  return (class_of(code) & kNumber) || (code >= 0x11de0 && code <= 0x11de9) || (code >= 0x16ff4 && code <= 0x16ff6);
}

class DigitSplitter final : public Splitter {
 public:
  explicit DigitSplitter(bool individual) : individual_(individual) {}
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    const auto next = [this](const char* p, const char* end) {
      const Character first = character_at(p, end);
      const bool numeric = is_numeric(first.code);
      p += first.bytes;
      if (numeric && individual_) return p;
      while (p < end) {
        const Character after = character_at(p, end);
        if (is_numeric(after.code) != numeric) break;
        p += after.bytes;
      }
      return p;
    };
    return split_by(next, text, offset, limit, words);
  }
  bool cuts_after_letters() const override { return false; }
  bool is_local() const override { return true; }

 private:
  bool individual_;
};

class CharacterSplitter final : public Splitter {
 public:
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    const auto next = [](const char* p, const char* end) { return p + character_at(p, end).bytes; };
    return split_by(next, text, offset, limit, words);
  }
};

class SplitterSequence final : public Splitter {
 public:
  explicit SplitterSequence(std::vector<std::unique_ptr<Splitter>> splitters) : splitters_(std::move(splitters)) {}
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    const size_t kept = words.size();
    offset = splitters_[0]->split(text, offset, limit, words);
    std::vector<std::string_view> parts(words.begin() + static_cast<ptrdiff_t>(kept), words.end());
    for (size_t i = 1; i < splitters_.size(); ++i) {
      words.resize(kept);
      for (const std::string_view part : parts) {
        for (size_t at = 0; at < part.size();) at = splitters_[i]->split(part, at, limit, words);
      }
      parts.assign(words.begin() + static_cast<ptrdiff_t>(kept), words.end());
    }
    return offset;
  }
  bool cuts_after_letters() const override {
    return is_local() &&
           std::any_of(splitters_.begin(), splitters_.end(), [](const auto& one) { return one->cuts_after_letters(); });
  }
  bool cuts_before_spaces() const override {
    return is_local() &&
           std::any_of(splitters_.begin(), splitters_.end(), [](const auto& one) { return one->cuts_before_spaces(); });
  }
  bool is_local() const override {
    return std::all_of(splitters_.begin(), splitters_.end(), [](const auto& one) { return one->is_local(); });
  }

 private:
  std::vector<std::unique_ptr<Splitter>> splitters_;
};

class NoSplitter final : public Splitter {
 public:
  size_t split(std::string_view text, size_t offset, size_t, std::vector<std::string_view>& words) const override {
    if (offset < text.size()) words.push_back(text.substr(offset));
    return text.size();
  }
  bool cuts_after_letters() const override { return false; }
};

}  // namespace

std::unique_ptr<Splitter> word_splitter() { return std::make_unique<WordSplitter>(); }
std::unique_ptr<Splitter> whitespace_splitter() { return std::make_unique<WhitespaceSplitter>(); }
std::unique_ptr<Splitter> digit_splitter(bool individual) { return std::make_unique<DigitSplitter>(individual); }
std::unique_ptr<Splitter> character_splitter() { return std::make_unique<CharacterSplitter>(); }
std::unique_ptr<Splitter> no_splitter() { return std::make_unique<NoSplitter>(); }

std::unique_ptr<Splitter> splitter_sequence(std::vector<std::unique_ptr<Splitter>> splitters) {
  return std::make_unique<SplitterSequence>(std::move(splitters));
}

}  // namespace lathe::tokenize
