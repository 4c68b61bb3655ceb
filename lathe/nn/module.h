#pragma once

#include <memory>
#include <vector>

#include "lathe/nn/stored.h"

namespace lathe {

class Linear;
class Pass;
class Weight;

/// Everything in a model that techniques may touch, each thing once.
struct Inventory {
  std::vector<Parameter*> parameters;
  std::vector<Stored*> stored;  ///< all persistent tensors, the parameters among them
  std::vector<Linear*> linears;
  std::vector<Weight*> weights;                   ///< of linears and tables, whatever their format
  std::vector<std::unique_ptr<Weight>*> holders;  ///< where they hang, so that another can take a weight's place
  void add(Parameter& parameter);
  void add(Stored& tensor);
  void add(Weight& weight);
  void add(std::unique_ptr<Weight>& holder);  ///< and all that its weight lists
};

class Module {
 public:
  virtual ~Module() = default;
  virtual void list(Inventory& inventory) = 0;
};

/// One piece of a model in a row of such: the embedding, a layer, the head. The unit of checkpointing, sharding,
/// offload and pipelining.
class Block : public Module {
 public:
  /// hidden [tokens, hidden_size] -> [tokens, hidden_size]. The first block gets an empty tensor and reads
  /// pass.tokens(); the last returns what pass.finish() makes of it: logits, a loss.
  virtual Tensor forward(const Tensor& hidden, Pass& pass) = 0;
};

/// Puts a technique around a block. The block and all names in it stay as they are.
class BlockWrapper : public Block {
 public:
  explicit BlockWrapper(std::unique_ptr<Block> inner) : inner_(std::move(inner)) {}
  void list(Inventory& inventory) override { inner_->list(inventory); }

 protected:
  std::unique_ptr<Block> inner_;
};

/// A model is a list of blocks, embedding first and head last. What several blocks share (a tied table, a bias of
/// positions) is the model's own.
class Model : public Module {
 public:
  std::vector<std::unique_ptr<Block>> blocks;
  std::vector<std::unique_ptr<Block>> encoder;  ///< of encoder-decoder models
  std::vector<std::unique_ptr<Module>> shared;

  void list(Inventory& inventory) override;
  /// All blocks in turn; the last one's result.
  Tensor forward(Pass& pass);
  Inventory inventory();
};

}  // namespace lathe
