#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lathe/tokenize/marked_text.h"

/// The subset of Jinja (as Jinja2 3.1 defines it) that chat templates are written in. Values have Python's semantics.
namespace lathe::jinja {

class Run;

/// What a Run or a Template keeps until its end; values point to it and own nothing, so no value is ever freed early
/// and none can keep another alive.
struct Kept {
  virtual ~Kept() = default;
};

struct Text;
struct List;
struct Dict;
struct Undefined;
struct Object;
enum class ListForm : uint8_t { list, tuple, range, view, generator };

class Value {
 public:
  Value() = default;  ///< none
  Value(bool flag) : data_(flag) {}
  Value(int64_t number) : data_(number) {}
  Value(double number) : data_(number) {}
  Value(const Text* text) : data_(text) {}
  Value(const List* list) : data_(list) {}
  Value(const Dict* dict) : data_(dict) {}
  Value(const Undefined* undefined) : data_(undefined) {}
  Value(Object* object) : data_(object) {}

  bool is_none() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_float() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_bool() || is_float() || std::holds_alternative<int64_t>(data_); }
  /// An int; True and False are 1 and 0.
  std::optional<int64_t> integer() const;
  double number() const;  ///< of a number
  const Text* text() const { return pointer<const Text*>(); }
  const List* list() const { return pointer<const List*>(); }
  const Dict* dict() const { return pointer<const Dict*>(); }
  const Undefined* undefined() const { return pointer<const Undefined*>(); }
  Object* object() const { return pointer<Object*>(); }
  /// A list of the form `form`.
  bool is(ListForm form) const;
  bool truthy() const;
  /// Python's name of its type.
  std::string type() const;
  /// The same object: `is` in Python.
  bool same(const Value& other) const { return data_ == other.data_; }

 private:
  template <class T>
  T pointer() const {
    auto found = std::get_if<T>(&data_);
    return found ? *found : nullptr;
  }
  std::variant<std::monostate, bool, int64_t, double, const Text*, const List*, const Dict*, const Undefined*, Object*>
      data_;
};

/// A str. `markup`: what `|safe` makes, to which `+` adds other text escaped for HTML.
struct Text : Kept {
  explicit Text(MarkedText content, bool is_markup = false) : text(std::move(content)), markup(is_markup) {}
  MarkedText text;
  bool markup;
};

/// A list, or what else gives values in order.
struct List : Kept {
  using Form = ListForm;
  Form form = Form::list;
  std::vector<Value> items;
  mutable size_t taken = 0;  ///< of a generator, whose values come only once
};

/// A dict; its items in order of insertion.
struct Dict : Kept {
  std::vector<std::pair<Value, Value>> items;
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

/// What a name without a value is; `why` says what is missing.
struct Undefined : Kept {
  explicit Undefined(std::string reason) : why(std::move(reason)) {}
  std::string why;
};

/// The arguments of one call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Any other object: a macro, a function, a method, a namespace, `loop`.
struct Object : Kept {
  virtual std::string type() const = 0;
  virtual std::optional<Value> attribute(const std::string& name, Run& run) const;
  virtual bool callable() const { return false; }
  virtual Value call(const Arguments& arguments, Run& run);
};

}  // namespace lathe::jinja
