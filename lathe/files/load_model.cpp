#include "lathe/files/load_model.h"

#include "lathe/base/isa.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/family.h"

namespace lathe {

std::unique_ptr<Model> load_model(const std::string& directory, const ModelConfig& config, DType compute) {
  std::unique_ptr<Model> model = make_model(config);
  Inventory inventory = model->inventory();
  for (Parameter* parameter : inventory.parameters) parameter->materialize(compute);
  load_tensors(inventory, TensorFiles(directory), family_named(config.model_type).tensor_prefix);
  return model;
}

DType default_compute() { return isa() == Isa::avx512 ? DType::bf16 : DType::f32; }

}  // namespace lathe
