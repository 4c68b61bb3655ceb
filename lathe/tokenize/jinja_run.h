#pragma once

#include <ctime>
#include <map>
#include <memory>

#include "lathe/base/error.h"
#include "lathe/tokenize/jinja_value.h"

namespace lathe::jinja {

/// What one rendering may cost before it ends in an Error.
struct Limits {
  int64_t work = 30'000'000;  ///< evaluated expressions and statements, and 1 for each 8 bytes that are made or read
  int64_t bytes = int64_t{1} << 28;  ///< of all values that are made
  int64_t output = int64_t{1} << 26;
  int depth = 600;  ///< evaluations within each other
};

/// Names of a block of statements; names of the blocks around it are seen through it.
class Scope : public Kept {
 public:
  explicit Scope(const Scope* around) : around_(around) {}
  const Value* find(std::string_view name) const;
  void set(const std::string& name, Value value);

 private:
  const Scope* around_;
  std::vector<std::pair<std::string, Value>> names_;
};

/// One rendering: what it has made, what it may still spend, where it writes, and where in the template it is.
class Run {
 public:
  Run(std::string template_name, const Limits& limits, std::time_t now);

  int line = 0;  ///< set before what can fail
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw Error(lathe::text(name_, ':', line, ": ", parts...));
  }

  /// Spends; throws Error when nothing is left.
  void work(int64_t units = 1) {
    if ((work_left_ -= units) < 0) fail("this template does not end: it took ", limits_.work, " steps");
  }
  void work_on(size_t bytes) { work(int64_t(bytes / 8) + 1); }
  /// Announces that values of so many bytes will be made.
  void charge(int64_t bytes) {
    if (bytes > bytes_left_) fail("this template makes more than ", limits_.bytes, " bytes of values");
    bytes_left_ -= bytes;
    work(bytes / 8);
  }

  Value text(MarkedText content, bool markup = false);
  Value plain(std::string content) { return text(MarkedText::unmarked(std::move(content))); }
  Value list(std::vector<Value> items, List::Form form = List::Form::list);
  Value dict(std::vector<std::pair<Value, Value>> items);
  Value undefined(std::string why);
  /// An object that lives until the end of the run.
  template <class T, class... Parts>
  T* keep(Parts&&... parts) {
    charge(int64_t(sizeof(T)));
    auto kept = std::make_unique<T>(std::forward<Parts>(parts)...);
    T* raw = kept.get();
    kept_.push_back(std::move(kept));
    return raw;
  }

  void write(const MarkedText& piece);
  MarkedText& output() { return *output_; }
  std::time_t now() const { return now_; }

  /// While one lives, what is written goes to `text`.
  class Capture {
   public:
    explicit Capture(Run& run) : run_(run), before_(run.output_) { run.output_ = &text; }
    ~Capture() { run_.output_ = before_; }
    MarkedText text;

   private:
    Run& run_;
    MarkedText* before_;
  };
  /// While one lives, evaluation is one deeper.
  class Nested {
   public:
    explicit Nested(Run& run) : run_(run) {
      if (++run.depth_ > run.limits_.depth) {
        --run.depth_;
        run.fail("this template nests more than ", run.limits_.depth, " deep");
      }
    }
    ~Nested() { --run_.depth_; }

   private:
    Run& run_;
  };

 private:
  std::string name_;
  Limits limits_;
  std::time_t now_;
  int64_t work_left_, bytes_left_;
  int depth_ = 0;
  MarkedText written_;
  MarkedText* output_ = &written_;
  std::vector<std::unique_ptr<Kept>> kept_;
};

}  // namespace lathe::jinja
