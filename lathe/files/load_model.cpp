#include "lathe/files/load_model.h"

#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"
#include "lathe/quant/block_weight.h"

namespace lathe {

std::unique_ptr<Model> load_model(const TensorFiles& files, const ModelConfig& config, DType compute) {
  std::unique_ptr<Model> model = make_model(config);
  const std::string& prefix = family_named(config.model_type).tensor_prefix;
  files.require_all_used(model->inventory());
  if (Runtime::current().device.backend == Backend::cpu)
    use_blocks(*model, [&](const std::string& name) -> const BlockFormat* {
      const FileTensor* tensor = files.find(name, prefix);
      return tensor && tensor->out_in ? find_block_format(tensor->type) : nullptr;
    });
  prepare_for_use(*model, compute, [&](const Inventory& some) { load_tensors(some, files, prefix); });
  return model;
}

}  // namespace lathe
