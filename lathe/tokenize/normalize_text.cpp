#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/regex.h"
#include "lathe/tokenize/byte_alphabet.h"
#include "lathe/tokenize/each_character.h"
#include "lathe/tokenize/normalizer.h"

namespace lathe::tokenize {
namespace {

class Stripped final : public Normalizer {
 public:
  Stripped(bool front, bool back, bool only_spaces) : front_(front), back_(back), only_spaces_(only_spaces) {}
  void apply(const TrackedText& text, Edges edges, TrackedText& out) const override {
    size_t begin = text.text().size(), end = 0;
    each_character(text, [&](uint32_t code, size_t from, size_t to) {
      if (only_spaces_ ? code == ' ' : (class_of(code) & kSpace) != 0) return;
      begin = std::min(begin, from);
      end = to;
    });
    if (begin > end) begin = end = 0;  // all of it is whitespace
    const bool blank = begin == end;
    const size_t from = front_ && edges.front ? begin : 0;
    const size_t to = back_ && edges.back ? end : text.text().size();
    if (blank && ((front_ && edges.front) || (back_ && edges.back))) return;
    out.keep(text, from, to);
  }
  bool keeps_letters() const override { return true; }

 private:
  bool front_, back_;
  bool only_spaces_;  // U+0020, no other whitespace
};

class WithPrefix final : public Normalizer {
 public:
  WithPrefix(std::string prefix, bool only_missing) : prefix_(std::move(prefix)), only_missing_(only_missing) {}
  void apply(const TrackedText& text, Edges edges, TrackedText& out) const override {
    const bool there = only_missing_ && text.text().compare(0, prefix_.size(), prefix_) == 0;
    if (edges.front && !text.text().empty() && !there) {  // it stands for the first character, as in the peer
      const char* first = text.text().data();
      out.replace(text, 0, character_at(first, first + text.text().size()).bytes, prefix_);
    }
    out.keep(text, 0, text.text().size());
  }
  bool keeps_letters() const override { return true; }

 private:
  std::string prefix_;
  bool only_missing_;
};

class Replaced final : public Normalizer {
 public:
  Replaced(std::string what, std::string with) : what_(std::move(what)), with_(std::move(with)) {}
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    const std::string& bytes = text.text();
    size_t at = 0;
    for (size_t found; (found = bytes.find(what_, at)) != std::string::npos; at = found + what_.size()) {
      out.keep(text, at, found);
      out.replace(text, found, found + what_.size(), with_);
    }
    out.keep(text, at, bytes.size());
  }
  bool is_local() const override { return what_ == " " || what_.find_first_of(" \n") == std::string::npos; }
  bool keeps_letters() const override { return what_ == " "; }

 private:
  std::string what_, with_;
};

class ReplacedMatches final : public Normalizer {
 public:
  ReplacedMatches(const std::string& pattern, std::string with)
      : regex_(pattern), with_(std::move(with)), of_spaces_(pattern == " {2,}") {}
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    size_t at = 0;
    regex_.each_match(text.text(), [&](size_t begin, size_t end) {
      out.keep(text, at, begin);
      out.replace(text, begin, end, with_);
      at = end;
    });
    out.keep(text, at, text.text().size());
  }
  bool is_local() const override { return of_spaces_; }
  bool keeps_letters() const override { return of_spaces_; }

 private:
  Regex regex_;
  std::string with_;
  bool of_spaces_;  // a cut never divides a run of spaces
};

class NmtCleaning final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    each_character(text, [&](uint32_t code, size_t begin, size_t end) {
      if (is_space(code)) {
        out.replace(text, begin, end, " ");
      } else if (!is_removed(code)) {
        out.keep(text, begin, end);
      }
    });
  }

 private:
  static bool is_space(uint32_t code) {
    return code == '\t' || code == '\n' || code == '\f' || code == '\r' || code == 0x1680 ||
           (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 || code == 0x2581 || code == 0xFEFF ||
           code == 0xFFFD;
  }
  static bool is_removed(uint32_t code) {
    return (code >= 1 && code < 0x20) || code == 0x7F || code == 0x8F || code == 0x9F;
  }
};

class SpeltInBytes final : public Normalizer {
 public:
  void apply(const TrackedText& text, Edges, TrackedText& out) const override {
    for (size_t at = 0; at < text.text().size(); ++at) {
      out.replace(text, at, at + 1, spell_bytes(std::string_view(text.text()).substr(at, 1)));
    }
  }
};

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<NormalizerPointer> steps) : steps_(std::move(steps)) {}
  void apply(const TrackedText& text, Edges edges, TrackedText& out) const override {
    if (steps_.empty()) return out.keep(text, 0, text.text().size());
    TrackedText now = text, next(text.tracks());
    for (size_t i = 0; i + 1 < steps_.size(); ++i) {
      next.clear();
      steps_[i]->apply(now, edges, next);
      std::swap(now, next);
    }
    steps_.back()->apply(now, edges, out);
  }
  bool is_local() const override {
    return std::all_of(steps_.begin(), steps_.end(), [](const auto& step) { return step->is_local(); });
  }
  bool keeps_letters() const override {
    return std::all_of(steps_.begin(), steps_.end(), [](const auto& step) { return step->keeps_letters(); });
  }
  bool keeps_ascii() const override {
    return std::all_of(steps_.begin(), steps_.end(), [](const auto& step) { return step->keeps_ascii(); });
  }

 private:
  std::vector<NormalizerPointer> steps_;
};

}  // namespace

NormalizerPointer stripped(bool front, bool back) { return std::make_unique<Stripped>(front, back, false); }
NormalizerPointer with_prefix(std::string prefix) { return std::make_unique<WithPrefix>(std::move(prefix), false); }
NormalizerPointer with_missing_prefix(std::string prefix) {
  return std::make_unique<WithPrefix>(std::move(prefix), true);
}
NormalizerPointer replaced(std::string what, std::string with) {
  require(!what.empty(), "a pattern to replace is empty");
  return std::make_unique<Replaced>(std::move(what), std::move(with));
}
NormalizerPointer replaced_matches(const std::string& pattern, std::string with) {
  if (pattern == R"(\A +| +\z)" && with.empty()) return std::make_unique<Stripped>(true, true, true);
  return std::make_unique<ReplacedMatches>(pattern, std::move(with));
}
NormalizerPointer nmt_cleaning() { return std::make_unique<NmtCleaning>(); }
NormalizerPointer spelt_in_bytes() { return std::make_unique<SpeltInBytes>(); }
NormalizerPointer normalizer_sequence(std::vector<NormalizerPointer> steps) {
  if (steps.size() == 1) return std::move(steps[0]);
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

}  // namespace lathe::tokenize
