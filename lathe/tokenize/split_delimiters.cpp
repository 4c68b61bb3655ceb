#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/regex.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/delimiters.h"
#include "lathe/tokenize/older_classes.h"

namespace lathe::tokenize {
namespace {

/// A part of a text: a match, or what lies between two.
struct Part {
  size_t begin, end;
  bool match;
};

class LiteralDelimiter final : public Delimiter {
 public:
  explicit LiteralDelimiter(std::string literal) : literal_(std::move(literal)) {}
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const override {
    begin = text.find(literal_, from);
    end = begin + literal_.size();
    return begin != std::string_view::npos;
  }

 private:
  std::string literal_;
};

class RegexDelimiter final : public Delimiter {
 public:
  explicit RegexDelimiter(const std::string& pattern) : regex_(pattern) {}
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const override {
    return regex_.find(text, from, begin, end);
  }

 private:
  Regex regex_;
};

class CharacterDelimiter final : public Delimiter {
 public:
  explicit CharacterDelimiter(bool (*is_delimiter)(uint32_t)) : is_delimiter_(is_delimiter) {}
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const override {
    while (from < text.size()) {
      const Character c = character_at(text.data() + from, text.data() + text.size());
      begin = from;
      end = from += c.bytes;
      if (is_delimiter_(c.code)) return true;
    }
    return false;
  }

 private:
  bool (*is_delimiter_)(uint32_t);
};

std::vector<Part> parts_of(const Delimiter& delimiter, std::string_view text, bool invert) {
  std::vector<Part> parts;
  size_t at = 0, begin = 0, end = 0;
  for (; at < text.size() && delimiter.find(text, at, begin, end); at = end) {
    if (begin > at) parts.push_back({at, begin, invert});
    parts.push_back({begin, end, !invert});
  }
  if (at < text.size()) parts.push_back({at, text.size(), invert});
  return parts;
}

/// Neighbours of the same sort become one.
void join_alike(std::vector<Part>& parts) {
  std::vector<Part> joined;
  for (const Part& part : parts) {
    if (!joined.empty() && joined.back().match == part.match) {
      joined.back().end = part.end;
    } else {
      joined.push_back(part);
    }
  }
  parts = std::move(joined);
}

/// A match, unless it stands behind another one, is joined to the part before it.
void join_to_previous(std::vector<Part>& parts) {
  std::vector<Part> joined;
  bool match_before = false;
  for (const Part& part : parts) {
    if (part.match && !match_before && !joined.empty()) {
      joined.back().end = part.end;
    } else {
      joined.push_back(part);
    }
    match_before = part.match;
  }
  parts = std::move(joined);
}

/// A match, unless it stands before another one, is joined to the part behind it.
void join_to_next(std::vector<Part>& parts) {
  std::vector<Part> joined;
  bool match_behind = false;
  for (size_t i = parts.size(); i-- > 0;) {
    if (parts[i].match && !match_behind && !joined.empty()) {
      joined.back().begin = parts[i].begin;
    } else {
      joined.push_back(parts[i]);
    }
    match_behind = parts[i].match;
  }
  parts.assign(joined.rbegin(), joined.rend());
}

class DelimiterSplitter final : public Splitter {
 public:
  DelimiterSplitter(std::unique_ptr<Delimiter> delimiter, DelimiterUse use, bool invert, bool local)
      : delimiter_(std::move(delimiter)), use_(use), invert_(invert), local_(local) {}

  size_t split(std::string_view text, size_t offset, size_t, std::vector<std::string_view>& words) const override {
    std::vector<Part> parts = parts_of(*delimiter_, text.substr(offset), invert_);
    if (use_ == DelimiterUse::contiguous) join_alike(parts);
    if (use_ == DelimiterUse::with_previous) join_to_previous(parts);
    if (use_ == DelimiterUse::with_next) join_to_next(parts);
    for (const Part& part : parts) {
      if (use_ == DelimiterUse::removed && part.match) continue;
      words.push_back(text.substr(offset + part.begin, part.end - part.begin));
    }
    return text.size();
  }
  bool cuts_after_letters() const override { return false; }
  bool is_local() const override { return local_; }

 private:
  std::unique_ptr<Delimiter> delimiter_;
  DelimiterUse use_;
  bool invert_, local_;
};

bool is_punctuation(uint32_t code) { return older_class(code) & kIsPunctuation; }

/// The whitespace, then the punctuation of BERT: words and single signs.
class BertSplitter final : public Splitter {
 public:
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    const char* p = text.data() + offset;
    const char* const end = text.data() + text.size();
    const char* word = p;
    const auto close = [&](const char* at) {
      if (at > word) words.emplace_back(word, static_cast<size_t>(at - word)), --limit;
    };
    for (Character c{}; p != end && limit > 0; p += c.bytes) {
      c = character_at(p, end);
      const bool space = class_of(c.code) & kSpace;
      if (!space && !is_punctuation(c.code)) continue;
      close(p);
      word = space ? p + c.bytes : p;
      if (space || limit == 0) continue;
      close(p + c.bytes);
      word = p + c.bytes;
    }
    if (p == end) close(p), word = end;
    return static_cast<size_t>(word - text.data());
  }
};

class MarkSplitter final : public Splitter {
 public:
  explicit MarkSplitter(std::string mark) : mark_(std::move(mark)) {}
  size_t split(std::string_view text, size_t offset, size_t limit,
               std::vector<std::string_view>& words) const override {
    for (; offset < text.size() && limit > 0; --limit) {
      const size_t end = std::min(text.find(mark_, offset + 1), text.size());
      words.push_back(text.substr(offset, end - offset));
      offset = end;
    }
    return offset;
  }
  bool cuts_after_letters() const override { return false; }
  bool cuts_before_spaces() const override { return true; }
  bool is_local() const override { return true; }

 private:
  std::string mark_;
};

/// Words of a fixed number of characters.
class FixedLengthSplitter final : public Splitter {
 public:
  explicit FixedLengthSplitter(size_t characters) : characters_(characters) {}
  size_t split(std::string_view text, size_t offset, size_t, std::vector<std::string_view>& words) const override {
    while (offset < text.size()) {
      const size_t begin = offset;
      for (size_t i = 0; i < characters_ && offset < text.size(); ++i) {
        offset += character_at(text.data() + offset, text.data() + text.size()).bytes;
      }
      words.push_back(text.substr(begin, offset - begin));
    }
    return text.size();
  }
  bool cuts_after_letters() const override { return false; }

 private:
  size_t characters_;
};

}  // namespace

DelimiterUse delimiter_use(std::string_view name) {
  if (name == "Removed") return DelimiterUse::removed;
  if (name == "Isolated") return DelimiterUse::isolated;
  if (name == "MergedWithPrevious") return DelimiterUse::with_previous;
  if (name == "MergedWithNext") return DelimiterUse::with_next;
  require(name == "Contiguous", "'", name,
          "' is none of Removed, Isolated, MergedWithPrevious, MergedWithNext and Contiguous");
  return DelimiterUse::contiguous;
}

std::unique_ptr<Splitter> literal_splitter(std::string literal, DelimiterUse use, bool invert) {
  require(!literal.empty(), "the text to split at is empty");
  return std::make_unique<DelimiterSplitter>(std::make_unique<LiteralDelimiter>(std::move(literal)), use, invert,
                                             false);
}

std::unique_ptr<Splitter> regex_splitter(const std::string& pattern, DelimiterUse use, bool invert) {
  if (use == DelimiterUse::isolated) return regex_splitter(pattern);
  return std::make_unique<DelimiterSplitter>(std::make_unique<RegexDelimiter>(pattern), use, invert, false);
}

std::unique_ptr<Splitter> punctuation_splitter(DelimiterUse use) {
  const bool local = use == DelimiterUse::isolated || use == DelimiterUse::removed;
  return std::make_unique<DelimiterSplitter>(std::make_unique<CharacterDelimiter>(is_punctuation), use, false, local);
}

std::unique_ptr<Splitter> bert_splitter() { return std::make_unique<BertSplitter>(); }

std::unique_ptr<Splitter> mark_splitter(std::string mark) {
  require(!mark.empty(), "the text to split at is empty");
  return std::make_unique<MarkSplitter>(std::move(mark));
}

std::unique_ptr<Splitter> fixed_length_splitter(size_t characters) {
  require(characters > 0, "a length of 0 characters");
  return std::make_unique<FixedLengthSplitter>(characters);
}

}  // namespace lathe::tokenize
