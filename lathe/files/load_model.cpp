#include "lathe/files/load_model.h"

#include "lathe/files/peft_adapter.h"
#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"
#include "lathe/quant/block_records.h"
#include "lathe/quant/block_weight.h"

namespace lathe {

std::unique_ptr<Model> load_model(const TensorFiles& files, const ModelConfig& config, DType compute,
                                  const PeftAdapter* adapter) {
  std::unique_ptr<Model> model = make_model(config);
  if (adapter) adapter->attach_to(*model);
  const std::string& prefix = family_named(config.model_type).tensor_prefix;
  files.require_all_used(model->inventory());
  bool on_gpu = Runtime::current().device.backend == Backend::cuda;
  use_blocks(*model, [&](const std::string& name) -> const BlockFormat* {
    const FileTensor* tensor = files.find(name, prefix);
    bool has_blocks = tensor && tensor->out_in && !tensor->change;
    const BlockFormat* format = has_blocks ? find_block_format(tensor->type) : nullptr;
    return format && (!on_gpu || has_records(*format)) ? format : nullptr;
  });
  prepare_for_use(*model, compute, [&](const Inventory& some) { load_tensors(some, files, prefix); });
  files.forget();
  return model;
}

}  // namespace lathe
