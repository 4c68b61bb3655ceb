#include "lathe/tokenize/jinja_run.h"

namespace lathe::jinja {
namespace {

constexpr int64_t kObject = 64;  // bytes of one, with what the heap adds

}  // namespace

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope; scope = scope->around_)
    for (const auto& [known, value] : scope->names_)
      if (known == name) return &value;
  return nullptr;
}

void Scope::set(const std::string& name, Value value) {
  for (auto& [known, old] : names_)
    if (known == name) {
      old = value;
      return;
    }
  names_.emplace_back(name, value);
}

Run::Run(std::string template_name, const Limits& limits, std::time_t now)
    : name_(std::move(template_name)), limits_(limits), now_(now), work_left_(limits.work), bytes_left_(limits.bytes) {}

Value Run::text(MarkedText content, bool markup) {
  charge(int64_t(content.size() + content.marked().size_bytes()));
  return static_cast<const Text*>(keep<Text>(std::move(content), markup));
}

Value Run::list(std::vector<Value> items, List::Form form) {
  charge(int64_t(items.size() * sizeof(Value)) + kObject);
  List* list = keep<List>();
  list->form = form;
  list->items = std::move(items);
  return static_cast<const List*>(list);
}

Value Run::dict(std::vector<std::pair<Value, Value>> items) {
  charge(int64_t(items.size() * 2 * sizeof(Value)) + kObject);
  Dict* dict = keep<Dict>();
  dict->items = std::move(items);
  return static_cast<const Dict*>(dict);
}

Value Run::undefined(std::string why) {
  charge(int64_t(why.size()) + kObject);
  return static_cast<const Undefined*>(keep<Undefined>(std::move(why)));
}

void Run::write(const MarkedText& piece) {
  charge(int64_t(piece.size()));
  output_->append(piece);
  if (int64_t(output_->size()) > limits_.output) fail("this template writes more than ", limits_.output, " bytes");
}

}  // namespace lathe::jinja
