#include "lathe/models/global_tokens.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/models/family.h"
#include "lathe/models/task.h"

namespace lathe {
namespace {

enum class Which : uint8_t { none, first, question };

Which which(const ModelConfig& c) {
  if (!family_named(c.model_type).global_tokens) return Which::none;
  Task task = task_of(c);
  return task == Task::sequence_labels ? Which::first : task == Task::spans ? Which::question : Which::none;
}

}  // namespace

int64_t global_tokens(const ModelConfig& c, std::span<const uint32_t> tokens) {
  switch (which(c)) {
    case Which::none:
      return 0;
    case Which::first:
      return 1;
    case Which::question:
      break;
  }
  auto separator = std::find(tokens.begin(), tokens.end(), uint32_t(c.sep_token_id));
  require(separator != tokens.end() && separator != tokens.begin(), c.model_type, ": a text of ", tokens.size(),
          " tokens has no question before its first separator, token ", c.sep_token_id,
          "; questions are answered from \"question separator separator text separator\"");
  return separator - tokens.begin();
}

int64_t most_global_tokens(const ModelConfig& c, int64_t texts, int64_t tokens) {
  Which some = which(c);
  return some == Which::none ? 0 : some == Which::first ? texts : tokens;
}

}  // namespace lathe
