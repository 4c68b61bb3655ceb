#include "lathe/files/pickle.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <unordered_map>

#include "lathe/base/error.h"

namespace lathe {
namespace {

using Id = uint32_t;

struct Value {
  enum class Kind : uint8_t { none, boolean, number, text, sequence, dictionary, global, storage, tensor, mark };
  Kind kind = Kind::none;
  int64_t number = 0;
  std::string_view text;  ///< of a global: "module\nname"
  std::vector<Id> items;  ///< of a dictionary: key, value, key, value; of a tensor: storage, first, shape, strides
};

using Kind = Value::Kind;

constexpr std::string_view kFunctions[] = {"collections\nOrderedDict", "torch._utils\n_rebuild_tensor_v2",
                                           "torch._utils\n_rebuild_parameter"};
constexpr size_t kMostBytes = 256 << 20, kMostArguments = 16;
constexpr size_t kMostValues = 1 << 22;  // of 60 bytes, which an instruction of one byte makes

class Unpickler {
 public:
  Unpickler(Bytes pickle, const std::string& path) : left_(text_of(pickle)), path_(path) {}

  std::vector<PickledTensor> read() {
    check(left_.size() <= kMostBytes, "it is larger than any model's");
    while (step(uint8_t(take(1)[0]))) {
    }
    return tensors_of(top());
  }

 private:
  std::string_view left_;
  const std::string& path_;
  std::deque<Value> values_;
  std::vector<Id> stack_;
  std::unordered_map<uint64_t, Id> memo_;

  void check(bool holds, std::string_view what) const { require(holds, path_, ": a broken pickle: ", what); }

  std::string_view take(uint64_t bytes) {
    check(bytes <= left_.size(), "it is truncated");
    std::string_view taken = left_.substr(0, size_t(bytes));
    left_.remove_prefix(size_t(bytes));
    return taken;
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view line() {
    size_t end = left_.find('\n');
    check(end != std::string_view::npos, "a name has no end");
    std::string_view taken = take(end);
    take(1);
    return taken;
  }

  Id make(Value value) {
    check(values_.size() < kMostValues, "it has more values than any model's");
    values_.push_back(std::move(value));
    return Id(values_.size() - 1);
  }
  void push(Value value) { stack_.push_back(make(std::move(value))); }
  void push_number(int64_t number) { push({Kind::number, number, {}, {}}); }
  void push_text(std::string_view text) { push({Kind::text, 0, text, {}}); }

  Id top() const {
    check(!stack_.empty() && values_[stack_.back()].kind != Kind::mark, "it takes what is not there");
    return stack_.back();
  }
  Id pop() {
    Id id = top();
    stack_.pop_back();
    return id;
  }
  std::vector<Id> pop_to_mark() {
    size_t at = stack_.size();
    while (at > 0 && values_[stack_[at - 1]].kind != Kind::mark) --at;
    check(at > 0, "a mark is missing");
    std::vector<Id> items(stack_.begin() + int64_t(at), stack_.end());
    stack_.resize(at - 1);
    return items;
  }
  void push_last(size_t count) {
    std::vector<Id> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push({Kind::sequence, 0, {}, std::move(items)});
  }

  void remember(uint64_t key) {
    check(memo_.size() < kMostValues, "it remembers more values than any model's");
    memo_[key] = top();
  }
  void recall(uint64_t key) {
    auto found = memo_.find(key);
    check(found != memo_.end(), "it recalls what it never remembered");
    stack_.push_back(found->second);
  }

  void append(std::vector<Id> items) {
    Value& list = values_[top()];
    check(list.kind == Kind::sequence, "it appends to what is no list");
    list.items.insert(list.items.end(), items.begin(), items.end());
  }
  void set(std::vector<Id> items) {
    Value& dictionary = values_[top()];
    check(dictionary.kind == Kind::dictionary && items.size() % 2 == 0, "it sets items of what is no dictionary");
    dictionary.items.insert(dictionary.items.end(), items.begin(), items.end());
  }

  /// Executes one instruction; false at the end.
  bool step(uint8_t code) {
    switch (code) {
      case 0x80:  // PROTO
        check(number<uint8_t>() <= 5, "its protocol is not known");
        return true;
      case 0x95:  // FRAME
        number<uint64_t>();
        return true;
      case '.':
        return false;
      case '(':
        push({Kind::mark, 0, {}, {}});
        return true;
      case 'N':
        push({});
        return true;
      case 0x88:
      case 0x89:
        push({Kind::boolean, code == 0x88, {}, {}});
        return true;
      case '0':  // POP
        pop();
        return true;
      default:
        if (!number_step(code) && !text_step(code) && !memo_step(code) && !container_step(code) && !object_step(code))
          throw Error(text(path_, ": a pickle that does more than hold tensors (instruction ", int(code),
                           "); it is not executed"));
        return true;
    }
  }

  bool number_step(uint8_t code) {
    if (code == 'K')
      push_number(number<uint8_t>());
    else if (code == 'M')
      push_number(number<uint16_t>());
    else if (code == 'J')
      push_number(number<int32_t>());
    else if (code == 'G')
      number<uint64_t>(), push({});  // a float, which no tensor needs
    else if (code == 0x8a)
      push_number(long_number());
    else
      return false;
    return true;
  }

  int64_t long_number() {
    auto bytes = number<uint8_t>();
    check(bytes <= 8, "a number is too large");
    std::string_view digits = take(bytes);
    uint64_t value = bytes > 0 && (uint8_t(digits.back()) & 0x80) ? ~uint64_t{0} : 0;
    if (!digits.empty()) std::memcpy(&value, digits.data(), digits.size());
    return int64_t(value);
  }

  bool text_step(uint8_t code) {
    if (code == 0x8c || code == 'U' || code == 'C')
      push_text(take(number<uint8_t>()));
    else if (code == 'X' || code == 'T' || code == 'B')
      push_text(take(number<uint32_t>()));
    else if (code == 0x8d)
      push_text(take(number<uint64_t>()));
    else
      return false;
    return true;
  }

  bool memo_step(uint8_t code) {
    if (code == 'q')
      remember(number<uint8_t>());
    else if (code == 'r')
      remember(number<uint32_t>());
    else if (code == 0x94)
      remember(memo_.size());
    else if (code == 'h')
      recall(number<uint8_t>());
    else if (code == 'j')
      recall(number<uint32_t>());
    else
      return false;
    return true;
  }

  bool container_step(uint8_t code) {
    if (code == ')' || code == ']')
      push({Kind::sequence, 0, {}, {}});
    else if (code == '}')
      push({Kind::dictionary, 0, {}, {}});
    else if (code == 't')
      push({Kind::sequence, 0, {}, pop_to_mark()});
    else if (code >= 0x85 && code <= 0x87)
      push_last(code - 0x84u);
    else if (code == 'a')
      append({pop()});
    else if (code == 'e')
      append(pop_to_mark());
    else if (code == 'u')
      set(pop_to_mark());
    else if (code == 's')
      set_one();
    else
      return false;
    return true;
  }

  void set_one() {
    Id value = pop(), key = pop();
    set({key, value});
  }

  bool object_step(uint8_t code) {
    if (code == 'c')
      push_global();
    else if (code == 0x93)
      push_stack_global();
    else if (code == 'Q')
      push_storage(pop());
    else if (code == 'R')
      call();
    else if (code == 'b')
      build();
    else
      return false;
    return true;
  }

  void push_global() {
    std::string_view module = line(), name = line();
    name_global(module, name);
  }

  void push_stack_global() {
    const Value name = values_[pop()], module = values_[pop()];
    check(name.kind == Kind::text && module.kind == Kind::text, "a name is no text");
    name_global(module.text, name.text);
  }

  [[noreturn]] void refuse(std::string_view module, std::string_view name) const {
    throw Error(text(path_, ": the pickle asks for ", module, ".", name,
                     "; only tensors are read and nothing is executed. If you trust the file, save its state_dict() as "
                     "safetensors with the program that made it"));
  }

  void name_global(std::string_view module, std::string_view name) {
    if ((module == "torch" || module == "torch.storage") && name.ends_with("Storage"))
      return push({Kind::global, 0, name, {}});
    for (std::string_view function : kFunctions)
      if (size_t end = function.find('\n'); function.substr(0, end) == module && function.substr(end + 1) == name)
        return push({Kind::global, 0, function, {}});
    refuse(module, name);
  }

  /// ("storage", its type, the file's name, a device, the number of elements).
  void push_storage(Id id) {
    const Value& tuple = values_[id];
    bool fits = tuple.kind == Kind::sequence && tuple.items.size() == 5 && values_[tuple.items[0]].text == "storage" &&
                values_[tuple.items[1]].kind == Kind::global && values_[tuple.items[2]].kind == Kind::text &&
                values_[tuple.items[4]].kind == Kind::number;
    check(fits, "a persistent object is no storage");
    push({Kind::storage, 0, {}, tuple.items});
  }

  void call() {
    Id arguments = pop(), callee = pop();
    check(values_[arguments].items.size() <= kMostArguments, "a call with too many arguments");
    std::vector<Id> items = values_[arguments].items;
    check(values_[arguments].kind == Kind::sequence && values_[callee].kind == Kind::global, "a call of no function");
    std::string_view name = values_[callee].text;
    if (name == "collections\nOrderedDict") {
      check(items.empty(), "an ordered dictionary begins with items");
      push({Kind::dictionary, 0, {}, {}});
    } else if (name == "torch._utils\n_rebuild_parameter") {
      check(!items.empty() && values_[items[0]].kind == Kind::tensor, "a parameter without a tensor");
      stack_.push_back(items[0]);
    } else {
      check(name == "torch._utils\n_rebuild_tensor_v2", "a call of no function");
      check(items.size() >= 4 && values_[items[0]].kind == Kind::storage && values_[items[1]].kind == Kind::number &&
                values_[items[2]].kind == Kind::sequence && values_[items[3]].kind == Kind::sequence,
            "a tensor without storage, place, shape and strides");
      push({Kind::tensor, 0, {}, std::move(items)});
    }
  }

  /// Attributes of a dictionary (_metadata) are of no use here; nothing else has any.
  void build() {
    pop();
    check(values_[top()].kind == Kind::dictionary, "it sets the state of what is no dictionary");
  }

  std::vector<int64_t> numbers(Id id) const {
    std::vector<int64_t> all;
    check(values_[id].items.size() <= kMostArguments, "a shape has too many extents");
    for (Id item : values_[id].items) {
      check(values_[item].kind == Kind::number, "a shape is no list of numbers");
      all.push_back(values_[item].number);
    }
    return all;
  }

  PickledTensor tensor(std::string_view name, const Value& value) const {
    const Value& storage = values_[value.items[0]];
    return {std::string(name),
            values_[storage.items[1]].text,
            values_[storage.items[2]].text,
            values_[storage.items[4]].number,
            values_[value.items[1]].number,
            numbers(value.items[2]),
            numbers(value.items[3])};
  }

  void collect(const Value& dictionary, std::vector<PickledTensor>& tensors) const {
    for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
      const Value &key = values_[dictionary.items[i]], &value = values_[dictionary.items[i + 1]];
      if (key.kind == Kind::text && value.kind == Kind::tensor) tensors.push_back(tensor(key.text, value));
    }
  }

  std::vector<PickledTensor> tensors_of(Id id) const {
    const Value& root = values_[id];
    check(root.kind == Kind::dictionary, "it holds no dictionary of tensors");
    std::vector<PickledTensor> tensors;
    collect(root, tensors);
    for (size_t i = 0; tensors.empty() && i + 1 < root.items.size(); i += 2)
      if (values_[root.items[i + 1]].kind == Kind::dictionary) collect(values_[root.items[i + 1]], tensors);
    check(!tensors.empty(), "there are no named tensors in it");
    return tensors;
  }
};

}  // namespace

std::vector<PickledTensor> read_pickled_tensors(Bytes pickle, const std::string& path) {
  return Unpickler(pickle, path).read();
}

}  // namespace lathe
