#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "lathe/base/utf8.h"
#include "lathe/tokenize/jinja_characters.h"
#include "lathe/tokenize/jinja_methods.h"
#include "lathe/tokenize/jinja_operators.h"
#include "lathe/tokenize/jinja_print.h"
#include "lathe/tokenize/jinja_text_methods.h"

namespace lathe::jinja {
namespace {

constexpr size_t kNowhere = std::string::npos;

const MarkedText& self_of(const Value& self) { return self.text()->text; }

/// Searching in linear time, whatever the texts are.
size_t place_of(std::string_view hay, std::string_view needle, size_t from) {
  if (needle.empty()) return from <= hay.size() ? from : kNowhere;
  if (from >= hay.size()) return kNowhere;
  const void* found = memmem(hay.data() + from, hay.size() - from, needle.data(), needle.size());
  return found ? size_t(static_cast<const char*>(found) - hay.data()) : kNowhere;
}

Value strip(const Value& self, const Arguments& arguments, Run& run, bool front, bool back) {
  Bound bound("strip", arguments, {"chars"}, run);
  return run.text(stripped(self_of(self), bound.value(0, Value()), front, back, run), self.text()->markup);
}

/// The pieces between whitespace; from the end with `back`.
std::vector<Value> words_of(const MarkedText& text, int64_t most, bool back, Run& run) {
  std::vector<Value> words;
  std::string_view bytes = text.bytes();
  size_t begin = 0, end = bytes.size();
  auto add = [&](size_t from, size_t to) { words.push_back(run.text(text.part(from, to))); };
  for (;;) {
    begin += (end - begin) - trimmed_front(bytes.substr(begin, end - begin)).size();
    end = begin + trimmed_back(bytes.substr(begin, end - begin)).size();
    if (begin == end) break;
    if (int64_t(words.size()) == most) {
      back ? add(0, end) : add(begin, bytes.size());
      break;
    }
    size_t at = back ? end : begin;
    if (back) {
      while (at > begin) {
        size_t start = at - 1;
        while (start > begin && (bytes[start] & 0xC0) == 0x80) --start;
        if (is_space(code_point_at(bytes, start).value)) break;
        at = start;
      }
      add(at, end);
      end = at;
    } else {
      while (at < end && !is_space(code_point_at(bytes, at).value)) at += character_bytes(bytes, at);
      add(begin, at);
      begin = at;
    }
  }
  if (back) std::reverse(words.begin(), words.end());
  return words;
}

std::vector<Value> pieces_of(const MarkedText& text, std::string_view separator, int64_t most, bool back, Run& run) {
  std::vector<Value> pieces;
  std::string_view bytes = text.bytes();
  run.work_on(bytes.size());
  std::vector<size_t> cuts;
  for (size_t at = 0; (at = place_of(bytes, separator, at)) != kNowhere; at += separator.size()) cuts.push_back(at);
  if (back && separator.size() > 1) {  // of overlapping places those nearest the end count
    run.work(int64_t(bytes.size()) * int64_t(separator.size()) / 64);
    cuts.clear();
    for (size_t end = bytes.size(), at; (at = bytes.substr(0, end).rfind(separator)) != kNowhere; end = at) {
      cuts.push_back(at);
      if (at == 0) break;
    }
    std::reverse(cuts.begin(), cuts.end());
  }
  run.charge(int64_t(cuts.size() * sizeof(size_t)));
  if (most >= 0 && int64_t(cuts.size()) > most)
    cuts.erase(back ? cuts.begin() : cuts.begin() + most, back ? cuts.end() - most : cuts.end());
  size_t from = 0;
  for (size_t cut : cuts) {
    pieces.push_back(run.text(text.part(from, cut)));
    from = cut + separator.size();
  }
  pieces.push_back(run.text(text.part(from, bytes.size())));
  return pieces;
}

Value split(const Value& self, const Arguments& arguments, Run& run, bool back) {
  Bound bound("split", arguments, {"sep", "maxsplit"}, run);
  int64_t most = bound.integer(1, -1);
  if (bound.value(0, Value()).is_none()) return run.list(words_of(self_of(self), most, back, run));
  const MarkedText& separator = bound.text(0);
  if (separator.empty()) run.fail("split: the separator is empty");
  return run.list(pieces_of(self_of(self), separator.bytes(), most, back, run));
}

/// Whether one of the texts that `wanted` is begins (ends) the text.
Value has_end(const Value& self, const Arguments& arguments, Run& run, bool front) {
  Bound bound(front ? "startswith" : "endswith", arguments, {"text"}, run);
  std::string_view bytes = self_of(self).bytes();
  auto matches = [&](const MarkedText& end) {
    return front ? bytes.starts_with(end.bytes()) : bytes.ends_with(end.bytes());
  };
  Value wanted = bound.value(0);
  if (!wanted.is(List::Form::tuple)) return matches(bound.text(0));
  for (const Value& end : wanted.list()->items) {
    if (!end.text()) run.fail("startswith and endswith look for texts, not for a ", end.type());
    if (matches(end.text()->text)) return true;
  }
  return false;
}

Value position(const Value& self, const Arguments& arguments, Run& run, bool back, bool must) {
  Bound bound(must ? "index" : "find", arguments, {"sub"}, run);
  const std::string &hay = self_of(self).bytes(), &needle = bound.text(0).bytes();
  run.work_on(hay.size());
  size_t at = place_of(hay, needle, 0);
  for (size_t next = at; back && next != kNowhere && !needle.empty(); next = place_of(hay, needle, next + 1)) {
    at = next;
    run.work();
  }
  if (back && needle.empty()) at = hay.size();
  if (at == kNowhere && must) run.fail("index: the text is not there");
  return at == kNowhere ? int64_t{-1} : character_count(std::string_view(hay).substr(0, at));
}

Value count(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("count", arguments, {"sub"}, run);
  const std::string &hay = self_of(self).bytes(), &needle = bound.text(0).bytes();
  run.work_on(hay.size());
  if (needle.empty()) return character_count(hay) + 1;
  int64_t found = 0;
  for (size_t at = 0; (at = place_of(hay, needle, at)) != kNowhere; at += needle.size()) ++found;
  return found;
}

Value replace(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("replace", arguments, {"old", "new", "count"}, run);
  bool markup = self.text()->markup;
  auto argument = [&](size_t i) { return markup ? html_escaped(bound.text(i), run) : bound.text(i); };
  return run.text(replaced(self_of(self), argument(0), argument(1), bound.integer(2, -1), run), markup);
}

Value join(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("join", arguments, {"texts"}, run);
  MarkedText all;
  bool first = true;
  for (const Value& piece : iterated(bound.value(0), run)) {
    if (!piece.text()) run.fail("join: puts texts together, here is a ", piece.type());
    run.charge(int64_t(self_of(self).size() + piece.text()->text.size()));
    if (!first) all.append(self_of(self));
    all.append(piece.text()->text);
    first = false;
  }
  return run.text(std::move(all));
}

Value without_end(const Value& self, const Arguments& arguments, Run& run, bool front) {
  Bound bound(front ? "removeprefix" : "removesuffix", arguments, {"text"}, run);
  const MarkedText& text = self_of(self);
  size_t bytes = bound.text(0).size();
  if (!has_end(self, arguments, run, front).truthy()) return self;
  return run.text(front ? text.part(bytes, text.size()) : text.part(0, text.size() - bytes));
}

Value partition(const Value& self, const Arguments& arguments, Run& run, bool back) {
  Bound bound("partition", arguments, {"sep"}, run);
  const MarkedText &text = self_of(self), &separator = bound.text(0);
  if (separator.empty()) run.fail("partition: the separator is empty");
  std::vector<Value> pieces = pieces_of(text, separator.bytes(), 1, back, run);
  Value none = run.plain("");
  if (pieces.size() == 2) return run.list({pieces[0], run.text(separator), pieces[1]}, List::Form::tuple);
  if (back) return run.list({none, none, self}, List::Form::tuple);
  return run.list({self, none, none}, List::Form::tuple);
}

Value zfill(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("zfill", arguments, {"width"}, run);
  const MarkedText& text = self_of(self);
  int64_t missing = std::max<int64_t>(bound.integer(0), 0) - character_count(text.bytes());
  if (missing <= 0) return self;
  run.charge(missing);
  bool sign = !text.empty() && (text.bytes()[0] == '-' || text.bytes()[0] == '+');
  MarkedText out = text.part(0, sign);
  out.append_unmarked(std::string(size_t(missing), '0'));
  out.append_part(text, sign, text.size());
  return run.text(std::move(out));
}

/// True where there are characters and all are such.
template <class Is>
Value all_are(const Value& self, const Arguments& arguments, Run& run, Is is) {
  Bound bound("this method", arguments, {}, run);
  const std::string& bytes = self_of(self).bytes();
  run.work_on(bytes.size());
  for (CodePoint c : CodePoints(bytes))
    if (!is(utf8proc_category(utf8proc_int32_t(c.value)), c.value)) return false;
  return !bytes.empty();
}

bool is_letter(utf8proc_category_t category) {
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(utf8proc_category_t category, char32_t c) {
  return category == UTF8PROC_CATEGORY_ND || c == 0xB2 || c == 0xB3 || c == 0xB9 ||
         (c >= 0x2070 && c <= 0x2089 && c != 0x2071);
}
bool is_numeric(utf8proc_category_t category) {
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

/// Some letters have this case and none the other.
Value has_case(const Value& self, const Arguments& arguments, Run& run, bool upper) {
  Bound bound(upper ? "isupper" : "islower", arguments, {}, run);
  run.work_on(self_of(self).size());
  bool some = false;
  for (CodePoint c : CodePoints(self_of(self).bytes())) {
    utf8proc_category_t category = utf8proc_category(utf8proc_int32_t(c.value));
    bool is_upper = category == UTF8PROC_CATEGORY_LU, is_lower = category == UTF8PROC_CATEGORY_LL;
    if (upper ? is_lower || category == UTF8PROC_CATEGORY_LT : is_upper || category == UTF8PROC_CATEGORY_LT)
      return false;
    some |= upper ? is_upper : is_lower;
  }
  return some;
}

/// The first letter of every run of letters in title case.
Value title(const Value& self, const Arguments& arguments, Run& run) {
  Bound bound("title", arguments, {}, run);
  MarkedText out;
  const MarkedText& text = self_of(self);
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + character_bytes(text.bytes(), i);
    out.append(inside ? in_lower_case(text.part(i, end), run) : capitalized(text.part(i, end), run));
    inside = is_letter(utf8proc_category(utf8proc_int32_t(code_point_at(text.bytes(), i).value)));
    i = end;
  }
  return run.text(std::move(out));
}

Value in_case(const Value& self, const Arguments& arguments, Run& run, MarkedText (*change)(const MarkedText&, Run&)) {
  Bound bound("this method", arguments, {}, run);
  return run.text(change(self_of(self), run), self.text()->markup);
}

using V = Value;
using A = Arguments;
const std::map<std::string, Method, std::less<>> kMethods = {
    {"capitalize", [](const V& s, const A& a, Run& r) { return in_case(s, a, r, capitalized); }},
    {"count", count},
    {"endswith", [](const V& s, const A& a, Run& r) { return has_end(s, a, r, false); }},
    {"find", [](const V& s, const A& a, Run& r) { return position(s, a, r, false, false); }},
    {"index", [](const V& s, const A& a, Run& r) { return position(s, a, r, false, true); }},
    {"isalnum",
     [](const V& s, const A& a, Run& r) {
       return all_are(s, a, r, [](auto category, char32_t) { return is_letter(category) || is_numeric(category); });
     }},
    {"isalpha", [](const V& s, const A& a,
                   Run& r) { return all_are(s, a, r, [](auto category, char32_t) { return is_letter(category); }); }},
    {"isdecimal",
     [](const V& s, const A& a, Run& r) {
       return all_are(s, a, r, [](auto category, char32_t) { return category == UTF8PROC_CATEGORY_ND; });
     }},
    {"isdigit", [](const V& s, const A& a, Run& r) { return all_are(s, a, r, is_digit); }},
    {"islower", [](const V& s, const A& a, Run& r) { return has_case(s, a, r, false); }},
    {"isnumeric",
     [](const V& s, const A& a, Run& r) {
       return all_are(s, a, r, [](auto category, char32_t) { return is_numeric(category); });
     }},
    {"isspace",
     [](const V& s, const A& a, Run& r) { return all_are(s, a, r, [](auto, char32_t c) { return is_space(c); }); }},
    {"isupper", [](const V& s, const A& a, Run& r) { return has_case(s, a, r, true); }},
    {"join", join},
    {"lower", [](const V& s, const A& a, Run& r) { return in_case(s, a, r, in_lower_case); }},
    {"lstrip", [](const V& s, const A& a, Run& r) { return strip(s, a, r, true, false); }},
    {"partition", [](const V& s, const A& a, Run& r) { return partition(s, a, r, false); }},
    {"removeprefix", [](const V& s, const A& a, Run& r) { return without_end(s, a, r, true); }},
    {"removesuffix", [](const V& s, const A& a, Run& r) { return without_end(s, a, r, false); }},
    {"replace", replace},
    {"rfind", [](const V& s, const A& a, Run& r) { return position(s, a, r, true, false); }},
    {"rindex", [](const V& s, const A& a, Run& r) { return position(s, a, r, true, true); }},
    {"rpartition", [](const V& s, const A& a, Run& r) { return partition(s, a, r, true); }},
    {"rsplit", [](const V& s, const A& a, Run& r) { return split(s, a, r, true); }},
    {"rstrip", [](const V& s, const A& a, Run& r) { return strip(s, a, r, false, true); }},
    {"split", [](const V& s, const A& a, Run& r) { return split(s, a, r, false); }},
    {"splitlines",
     [](const V& s, const A& a, Run& r) {
       Bound bound("splitlines", a, {"keepends"}, r);
       return r.list(lines_of(self_of(s), bound.flag(0, false), r));
     }},
    {"startswith", [](const V& s, const A& a, Run& r) { return has_end(s, a, r, true); }},
    {"strip", [](const V& s, const A& a, Run& r) { return strip(s, a, r, true, true); }},
    {"title", title},
    {"upper", [](const V& s, const A& a, Run& r) { return in_case(s, a, r, in_upper_case); }},
    {"zfill", zfill},
};

}  // namespace

Method text_method(const std::string& name, Run& run) {
  constexpr std::string_view kMissing[] = {"casefold",    "center",    "encode",  "expandtabs", "format",
                                           "format_map",  "isascii",   "istitle", "ljust",      "isidentifier",
                                           "isprintable", "maketrans", "rjust",   "swapcase",   "translate"};
  auto found = kMethods.find(name);
  if (found != kMethods.end()) return found->second;
  if (std::find(std::begin(kMissing), std::end(kMissing), name) != std::end(kMissing))
    run.fail("the method '", name, "' of texts is not supported");
  return nullptr;
}

MarkedText stripped(const MarkedText& text, const Value& characters, bool front, bool back, Run& run) {
  run.charge(int64_t(text.size()));
  std::string_view bytes = text.bytes(), set;
  if (characters.undefined()) run.fail(characters.undefined()->why);
  if (!characters.is_none() && !characters.text()) run.fail("strip takes characters, not a ", characters.type());
  if (characters.text()) set = characters.text()->text.bytes();
  auto goes = [&](size_t at) {
    size_t count = character_bytes(bytes, at);
    if (!characters.text()) return is_space(code_point_at(bytes, at).value);
    run.work_on(set.size());
    return set.find(bytes.substr(at, count)) != kNowhere;
  };
  size_t begin = 0, end = bytes.size();
  while (front && begin < end && goes(begin)) begin += character_bytes(bytes, begin);
  while (back && begin < end) {
    size_t start = end - 1;
    while (start > begin && (bytes[start] & 0xC0) == 0x80) --start;
    if (!goes(start)) break;
    end = start;
  }
  return text.part(begin, end);
}

std::vector<Value> lines_of(const MarkedText& text, bool keep_ends, Run& run) {
  std::vector<Value> lines;
  std::string_view bytes = text.bytes();
  run.work_on(bytes.size());
  size_t from = 0;
  for (size_t at = 0; at < bytes.size();) {
    CodePoint c = code_point_at(bytes, at);
    size_t next = at + c.bytes;
    bool ends = (c.value >= 10 && c.value <= 13) || (c.value >= 0x1C && c.value <= 0x1E) || c.value == 0x85 ||
                c.value == 0x2028 || c.value == 0x2029;
    if (c.value == '\r' && next < bytes.size() && bytes[next] == '\n') ++next;
    if (ends) {
      lines.push_back(run.text(text.part(from, keep_ends ? next : at)));
      from = next;
    }
    at = next;
  }
  if (from < bytes.size()) lines.push_back(run.text(text.part(from, bytes.size())));
  return lines;
}

MarkedText replaced(const MarkedText& text, const MarkedText& from, const MarkedText& to, int64_t most, Run& run) {
  MarkedText out;
  run.charge(int64_t(text.size()));
  if (most < 0) most = INT64_MAX;
  size_t kept = 0, at = 0;
  for (; most != 0 && (at = place_of(text.bytes(), from.bytes(), at)) != kNowhere; --most) {
    run.charge(int64_t(to.size()) + 1);
    out.append_part(text, kept, at);
    out.append(to);
    kept = at + from.size();
    at = kept;
    if (from.empty()) {  // between all characters
      if (kept == text.size()) break;
      at += character_bytes(text.bytes(), kept);
    }
  }
  out.append_part(text, kept, text.size());
  return out;
}

}  // namespace lathe::jinja
