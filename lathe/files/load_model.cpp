#include "lathe/files/load_model.h"

#include "lathe/models/family.h"
#include "lathe/nn/prepare.h"

namespace lathe {

std::unique_ptr<Model> load_model(const TensorFiles& files, const ModelConfig& config, DType compute) {
  std::unique_ptr<Model> model = make_model(config);
  const std::string& prefix = family_named(config.model_type).tensor_prefix;
  files.require_all_used(model->inventory());
  prepare_for_use(*model, compute, [&](const Inventory& some) { load_tensors(some, files, prefix); });
  return model;
}

}  // namespace lathe
