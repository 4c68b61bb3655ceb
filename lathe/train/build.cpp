#include "lathe/train/build.h"

#include "lathe/models/family.h"
#include "lathe/nn/completion.h"
#include "lathe/quant/fp8.h"
#include "lathe/train/checkpoint.h"

namespace lathe {
namespace {

/// Layers alone: the embedding keeps no activations worth it, and the head's loss has no second run.
void wrap_layers(Model& model, std::unique_ptr<Block> (*wrapped)(std::unique_ptr<Block>)) {
  for (size_t i = 1; i + 1 < model.blocks.size(); ++i) model.blocks[i] = wrapped(std::move(model.blocks[i]));
}

}  // namespace

std::unique_ptr<Model> build_model(const JobSettings& job) {
  std::unique_ptr<Model> model = make_model(job.model);  // shapes only: wrappers decide what this rank keeps
  if (job.training.matmul == TrainingSettings::Matmul::fp8)
    for (size_t i = 1; i + 1 < model->blocks.size(); ++i) use_fp8(*model->blocks[i]);  // before wrappers hide weights
  using Checkpoint = TrainingSettings::Checkpoint;
  if (job.training.checkpoint == Checkpoint::selective) wrap_layers(*model, recomputed);
  if (job.training.checkpoint == Checkpoint::block) wrap_layers(*model, checkpointed);
  complete_gradients(*model);  // outermost: a block is done when everything around it is
  PurposeScope gradients(Purpose::gradients);
  for (Parameter* parameter : model->inventory().parameters) {
    parameter->materialize_trained(job.compute());
    // Of several micro-batches gradients live through all but the first, so that lazy bytes would save none.
    if (job.training.accumulation > 1 && parameter->trained())
      parameter->gradient = Tensor::empty(parameter->kept.shape());
  }
  return model;
}

}  // namespace lathe
