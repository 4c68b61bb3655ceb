#include "lathe/nn/module.h"

#include <algorithm>

#include "lathe/nn/weight.h"

namespace lathe {

void Inventory::add(Stored& tensor) {
  if (std::find(stored.begin(), stored.end(), &tensor) == stored.end()) stored.push_back(&tensor);
}

void Inventory::add(Parameter& parameter) {
  if (std::find(parameters.begin(), parameters.end(), &parameter) != parameters.end()) return;
  parameters.push_back(&parameter);
  stored.push_back(&parameter);
}

void Inventory::add(Weight& weight) {
  if (std::find(weights.begin(), weights.end(), &weight) == weights.end()) weights.push_back(&weight);
}

void Inventory::add(std::unique_ptr<Weight>& holder) {
  if (std::find(holders.begin(), holders.end(), &holder) == holders.end()) holders.push_back(&holder);
  holder->list(*this);
}

void Model::list(Inventory& inventory) {
  for (auto& module : shared) module->list(inventory);
  for (auto& block : encoder) block->list(inventory);
  for (auto& block : blocks) block->list(inventory);
}

Inventory Model::inventory() {
  Inventory inventory;
  list(inventory);
  return inventory;
}

Tensor Model::forward(Pass& pass) {
  Tensor hidden;
  for (auto& block : blocks) hidden = block->forward(hidden, pass);
  return hidden;
}

}  // namespace lathe
