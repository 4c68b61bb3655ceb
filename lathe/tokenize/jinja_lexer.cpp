#include "lathe/tokenize/jinja_lexer.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/base/utf8.h"
#include "lathe/tokenize/characters.h"
#include "lathe/tokenize/jinja_characters.h"

namespace lathe::jinja {
namespace {

using Kind = Token::Kind;

/// Line ends as "\n", without the last one.
std::string unix_lines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& name) : source_(unix_lines(source)), rest_(source_), name_(name) {}

  std::vector<Token> run() {
    while (!rest_.empty()) outside();
    add(Kind::end, "");
    return std::move(tokens_);
  }

 private:
  std::string source_;
  std::string_view rest_;
  const std::string& name_;
  int line_ = 1;
  bool line_starts_ = true;  ///< what was read last ended with a line end
  std::vector<Token> tokens_;

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw Error(text(name_, ':', line_, ": ", parts...));
  }

  void add(Kind kind, std::string_view content) { tokens_.push_back({kind, std::string(content), line_}); }

  std::string_view take(size_t bytes) {
    std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(taken.size());
    line_ += int(std::count(taken.begin(), taken.end(), '\n'));
    if (!taken.empty()) line_starts_ = taken.back() == '\n';
    return taken;
  }
  void skip_spaces() { take(rest_.size() - trimmed_front(rest_).size()); }
  bool at(std::string_view what) const { return rest_.substr(0, what.size()) == what; }

  /// Text up to the next tag, and the beginning of that.
  void outside() {
    size_t tag = 0;
    while (tag < rest_.size() && !opens_tag(rest_.substr(tag))) ++tag;
    if (tag == rest_.size()) return add_data(tag, tag, ' ', false);
    char kind = rest_[tag + 1];
    char sign = tag + 2 < rest_.size() ? rest_[tag + 2] : ' ';
    bool has_sign = sign == '-' || sign == '+';
    add_data(tag, tag + 2 + has_sign, has_sign ? sign : ' ', kind != '{');
    if (kind == '#') return comment();
    if (kind == '%' && raw()) return;
    add(kind == '{' ? Kind::print_begin : Kind::block_begin, "");
    inside(kind == '{' ? Kind::print_end : Kind::block_end);
  }

  static bool opens_tag(std::string_view text) {
    return text.size() > 1 && text[0] == '{' && (text[1] == '{' || text[1] == '%' || text[1] == '#');
  }

  /// The first `count` bytes without the whitespace that the tag behind takes away; moves on by `move`.
  void add_data(size_t count, size_t move, char sign, bool strips_line) {
    std::string_view data = rest_.substr(0, count);
    if (sign == '-') {
      data = trimmed_back(data);
    } else if (sign != '+' && strips_line) {
      size_t start = data.rfind('\n') + 1;  // 0 where there is none
      if ((start > 0 || line_starts_) && trimmed_front(data.substr(start)).empty()) data = data.substr(0, start);
    }
    if (!data.empty()) add(Kind::data, data);
    take(move);
  }

  void comment() {
    size_t end = rest_.find("#}");
    if (end == std::string_view::npos) fail("a comment {# has no #} behind it");
    char sign = end > 0 ? rest_[end - 1] : ' ';
    take(end + 2);
    behind_tag(sign);
  }

  void behind_tag(char sign) {
    if (sign == '-')
      skip_spaces();
    else if (sign != '+' && at("\n"))
      take(1);
  }

  /// "{% raw %}" up to its end; the "{%" is behind us.
  bool raw() {
    std::string_view tag = trimmed_front(rest_);
    if (tag.substr(0, 3) != "raw") return false;
    tag = trimmed_front(tag.substr(3));
    bool strips = tag.substr(0, 1) == "-";
    if (tag.substr(strips, 2) != "%}") return false;
    take(rest_.size() - tag.size() + strips + 2);
    if (strips) skip_spaces();
    for (size_t tag_at = rest_.find("{%"); tag_at != std::string_view::npos; tag_at = rest_.find("{%", tag_at + 1))
      if (end_raw(tag_at)) return true;
    fail("{% raw %} has no {% endraw %} behind it");
  }

  bool end_raw(size_t tag_at) {
    std::string_view tag = rest_.substr(tag_at + 2);
    char sign = !tag.empty() && (tag[0] == '-' || tag[0] == '+') ? tag[0] : ' ';
    tag = trimmed_front(tag.substr(sign != ' '));
    if (tag.substr(0, 6) != "endraw") return false;
    tag = trimmed_front(tag.substr(6));
    char last = !tag.empty() && (tag[0] == '-' || tag[0] == '+') ? tag[0] : ' ';
    if (tag.substr(last != ' ', 2) != "%}") return false;
    add_data(tag_at, rest_.size() - tag.size() + (last != ' ') + 2, sign, true);
    behind_tag(last);
    return true;
  }

  /// Tokens up to the end of the tag.
  void inside(Kind end) {
    int opened = line_;
    std::vector<char> brackets;
    for (;;) {
      skip_spaces();
      if (rest_.empty()) {
        line_ = opened;
        fail(end == Kind::print_end ? "{{ has no }} behind it" : "{% has no %} behind it");
      }
      if (brackets.empty() && ends(end)) return;
      token(brackets);
    }
  }

  bool ends(Kind end) {
    std::string_view mark = end == Kind::print_end ? "}}" : "%}";
    bool strips = at("-"), keeps = at("+") && end == Kind::block_end;
    if (rest_.substr(strips || keeps, 2) != mark) return false;
    add(end, "");
    char sign = rest_[0];
    take(2 + (strips || keeps));
    if (end == Kind::block_end)
      behind_tag(sign);
    else if (strips)
      skip_spaces();
    return true;
  }

  void token(std::vector<char>& brackets) {
    char first = rest_[0];
    if (first == '"' || first == '\'') return string();
    if (first >= '0' && first <= '9') return number();
    size_t word = word_bytes();
    if (word > 0) {
      add(Kind::name, rest_.substr(0, word));
      take(word);
      return;
    }
    op(brackets);
  }

  size_t word_bytes() const {
    size_t bytes = 0;
    while (bytes < rest_.size()) {
      tokenize::Character c = tokenize::character_at(rest_.data() + bytes, rest_.data() + rest_.size());
      if (!(tokenize::class_of(c.code) & tokenize::kWord)) break;
      bytes += c.bytes;
    }
    return bytes;
  }

  void op(std::vector<char>& brackets) {
    constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="}, kShort = "+-/*%~[](){}><=.:|,;";
    for (std::string_view two : kLong)
      if (at(two)) return add(Kind::op, two), void(take(2));
    char c = rest_[0];
    if (kShort.find(c) == std::string_view::npos)
      fail("'", lossy_utf8(rest_.substr(0, code_point_at(rest_, 0).bytes)), "' means nothing in a tag");
    if (c == '(' || c == '[' || c == '{') brackets.push_back(c == '(' ? ')' : char(c + 2));
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) fail("'", c, "' closes nothing that is open");
      brackets.pop_back();
    }
    add(Kind::op, rest_.substr(0, 1));
    take(1);
  }

  /// Digits of `base`, with single underscores between; how many bytes from `from` on.
  size_t digits(size_t from, int base) const {
    size_t at = from;
    auto digit = [&](size_t i) {
      char c = i < rest_.size() ? rest_[i] : ' ';
      int value = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 99;
      return value < base;
    };
    while (digit(at) || (at < rest_.size() && at > from && rest_[at] == '_' && digit(at + 1))) ++at;
    return at - from;
  }

  void number() {
    constexpr std::string_view kBases = "bBoOxX";
    size_t base = rest_[0] == '0' && rest_.size() > 1 ? kBases.find(rest_[1]) : std::string_view::npos;
    if (base != std::string_view::npos) {
      constexpr int kValues[] = {2, 8, 16};
      size_t count = digits(2, kValues[base / 2]);
      if (count > 0) return add_number(Kind::integer, 2 + count);
    }
    size_t whole = digits(0, 10), bytes = whole;
    bool of_attribute = !tokens_.empty() && tokens_.back().kind == Kind::op && tokens_.back().text == ".";
    if (of_attribute) return add_number(Kind::integer, whole);  // x.0.1
    if (bytes < rest_.size() && rest_[bytes] == '.')
      if (size_t fraction = digits(bytes + 1, 10)) bytes += 1 + fraction;
    if (bytes < rest_.size() && (rest_[bytes] | 32) == 'e') {
      size_t sign = bytes + 1 < rest_.size() && (rest_[bytes + 1] == '+' || rest_[bytes + 1] == '-');
      if (size_t exponent = digits(bytes + 1 + sign, 10)) bytes += 1 + sign + exponent;
    }
    add_number(bytes > whole ? Kind::floating : Kind::integer, bytes);
  }

  void add_number(Kind kind, size_t bytes) {
    std::string written(rest_.substr(0, bytes));
    std::erase(written, '_');
    add(kind, written);
    take(bytes);
  }

  void string() {
    size_t end = 1;
    while (end < rest_.size() && rest_[end] != rest_[0]) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) fail("a string has no ", rest_[0], " at its end");
    add(Kind::string, unescaped(rest_.substr(1, end - 1)));
    take(end + 1);
  }

  std::string unescaped(std::string_view written) const {
    std::string out;
    while (!written.empty()) {
      if (written[0] != '\\') {
        out += written[0];
        written.remove_prefix(1);
        continue;
      }
      written.remove_prefix(1 + escape(written.substr(1), out));
    }
    return out;
  }

  /// Appends what the escape means whose letter `rest` begins with; how many bytes it has.
  size_t escape(std::string_view rest, std::string& out) const {
    constexpr std::string_view kLetters = "\n\\'\"abfnrtv", kMeanings = " \\'\"\a\b\f\n\r\t\v";
    char letter = rest.empty() ? ' ' : rest[0];
    if (size_t known = kLetters.find(letter); known != std::string_view::npos) {
      if (known > 0) out += kMeanings[known];
      return 1;
    }
    if (letter >= '0' && letter <= '7') {
      size_t count = 1;
      while (count < 3 && count < rest.size() && rest[count] >= '0' && rest[count] <= '7') ++count;
      append_utf8(out, char32_t(std::stoul(std::string(rest.substr(0, count)), nullptr, 8)));
      return count;
    }
    size_t length = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (letter == 'N') fail("characters by their names (\\N) are not supported; write \\u and their number");
    if (length == 0) return out += '\\', 0;
    std::string hex(rest.substr(1, length));
    bool valid = hex.size() == length && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    unsigned long code = valid ? std::stoul(hex, nullptr, 16) : 0xD800;
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) fail("\\", letter, hex, " is no character");
    append_utf8(out, char32_t(code));
    return 1 + length;
  }
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source, const std::string& name) {
  require(valid_utf8(source), name, ": not UTF-8 at byte ", first_invalid_utf8(source));
  return Lexer(source, name).run();
}

}  // namespace lathe::jinja
