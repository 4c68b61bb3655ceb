#include "lathe/nn/completion.h"

#include <map>

#include "lathe/tensor/tape.h"

namespace lathe {
namespace {

std::vector<Parameter*> parameters_of(Block& block) {
  Inventory inventory;
  block.list(inventory);
  return std::move(inventory.parameters);
}

class CompletingBlock : public BlockWrapper {
 public:
  explicit CompletingBlock(std::unique_ptr<Block> inner)
      : BlockWrapper(std::move(inner)), parameters_(parameters_of(*inner_)) {}

  Tensor forward(const Tensor& hidden, Pass& pass) override {
    on_backward([this] {
      for (Parameter* parameter : parameters_) parameter->complete();
    });
    return inner_->forward(hidden, pass);
  }

 private:
  std::vector<Parameter*> parameters_;
};

}  // namespace

void complete_gradients(Model& model) {
  std::map<Parameter*, int> users;
  for (auto* blocks : {&model.encoder, &model.blocks})
    for (std::unique_ptr<Block>& block : *blocks) {
      for (Parameter* parameter : parameters_of(*block)) ++users[parameter];
      block = std::make_unique<CompletingBlock>(std::move(block));
    }
  for (auto& [parameter, count] : users) parameter->users = count;
}

}  // namespace lathe
