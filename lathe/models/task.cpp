#include "lathe/models/task.h"

#include "lathe/base/error.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

struct Ending {
  const char* text;
  Task task;
};
constexpr Ending kEndings[] = {{"ForCausalLM", Task::causal_lm},
                               {"ForConditionalGeneration", Task::causal_lm},
                               {"LMHeadModel", Task::causal_lm},
                               {"ForMaskedLM", Task::masked_lm},
                               {"ForPreTraining", Task::masked_lm},
                               {"ForSequenceClassification", Task::sequence_labels},
                               {"ForTokenClassification", Task::token_labels},
                               {"ForQuestionAnswering", Task::spans},
                               {"Model", Task::hidden}};

}  // namespace

std::string architecture_of(const ModelConfig& config) {
  return config.architecture.empty() ? family_named(config.model_type).architecture : config.architecture;
}

Task task_of(const ModelConfig& config) {
  std::string name = architecture_of(config), known;
  for (const Ending& ending : kEndings) {
    if (name.ends_with(ending.text)) return ending.task;
    known += text(known.empty() ? "" : ", ", "...", ending.text);
  }
  throw Error(text("architecture \"", name, "\" of ", config.model_type, " is not supported; those that end in ", known,
                   " are"));
}

}  // namespace lathe
