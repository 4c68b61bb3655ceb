#include "lathe/tensor/tape.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "lathe/tensor/sum.h"

namespace lathe {

namespace {

thread_local Tape* recording_tape = nullptr;
thread_local RecomputeScope* recompute_scope = nullptr;
std::atomic<uint64_t> tapes_made{0};

/// The gradients of one running backward(), and the one it runs within.
class Walk {
 public:
  explicit Walk(uint64_t tape) : tape_(tape), enclosing_(current) { current = this; }
  ~Walk() { current = enclosing_; }
  Walk(const Walk&) = delete;

  void deliver(const std::shared_ptr<GradientNode>& node, Tensor gradient) {
    if (node->sink) return node->sink->receive(gradient);
    for (Walk* walk = this; walk; walk = walk->enclosing_)
      if (walk->tape_ == node->tape) return walk->add(node, std::move(gradient));
    throw InternalError("a gradient reaches a tensor whose tape is not running backward");
  }

  Tensor take(const std::shared_ptr<GradientNode>& node) {
    auto found = gradients_.extract(node);
    return found ? std::move(found.mapped()) : Tensor();
  }

 private:
  static thread_local Walk* current;
  uint64_t tape_;
  Walk* enclosing_;
  std::unordered_map<std::shared_ptr<GradientNode>, Tensor> gradients_;

  void add(const std::shared_ptr<GradientNode>& node, Tensor gradient) {
    auto [slot, is_new] = gradients_.try_emplace(node, gradient);
    if (is_new) return;
    Tensor& there = slot->second;
    if (there.unique()) return accumulate(gradient, there);
    // The one handle on `gradient` besides this one was ours when the caller moved it here.
    if (gradient.unique()) {
      accumulate(there, gradient);
      there = std::move(gradient);
    } else {
      there = sum(there, gradient);
    }
  }
};

thread_local Walk* Walk::current = nullptr;

std::vector<std::shared_ptr<GradientNode>> nodes_of(std::initializer_list<const Tensor*> tensors) {
  std::vector<std::shared_ptr<GradientNode>> nodes;
  nodes.reserve(tensors.size());
  for (const Tensor* tensor : tensors) nodes.push_back(tensor->node());
  return nodes;
}

}  // namespace

Tape::Tape() : id_(++tapes_made) {}
Tape::~Tape() = default;

Recording::Recording(Tape* tape) : previous_(recording_tape) { recording_tape = tape; }
Recording::~Recording() { recording_tape = previous_; }
Tape* Recording::current() { return recording_tape; }

bool recording(std::initializer_list<const Tensor*> inputs) {
  return recording_tape &&
         std::any_of(inputs.begin(), inputs.end(), [](const Tensor* input) { return input->needs_gradient(); });
}

void record(std::initializer_list<Tensor*> outputs, std::initializer_list<const Tensor*> inputs, BackwardRule rule) {
  if (!recording_tape || (!rule.always && !recording(inputs))) return;
  Tape::Entry entry;
  entry.inputs = nodes_of(inputs);
  for (Tensor* output : outputs) {
    output->set_node(std::make_shared<GradientNode>(GradientNode{nullptr, recording_tape->id_}));
    entry.outputs.push_back(output->node());
  }
  if (rule.again && recompute_scope) {
    RecomputeScope::Refill refill;
    for (Tensor* output : outputs)
      refill.outputs.push_back({output->shared_storage(), output->offset(), output->shape(), output->dtype()});
    refill.again = std::move(rule.again);
    recompute_scope->refills_.push_back(std::move(refill));
  }
  rule.again = nullptr;
  entry.rule = std::move(rule);
  recording_tape->entries_.push_back(std::move(entry));
}

void on_backward(std::function<void()> action) {
  if (!recording_tape) return;
  Tape::Entry mark;
  mark.rule.run = [action = std::move(action)](std::span<const Tensor>) {
    action();
    return Gradients{};
  };
  recording_tape->entries_.push_back(std::move(mark));
}

void Tape::backward(const Tensor& output, Tensor gradient) {
  std::pair<Tensor, Tensor> seed(output, std::move(gradient));
  backward({&seed, 1});
}

void Tape::backward(std::span<const std::pair<Tensor, Tensor>> outputs_and_gradients) {
  Recording paused(nullptr);
  Walk walk(id_);
  for (const auto& [output, gradient] : outputs_and_gradients)
    if (output.needs_gradient()) walk.deliver(output.node(), gradient.detached());
  while (!entries_.empty()) {
    Entry entry = std::move(entries_.back());
    entries_.pop_back();
    std::vector<Tensor> dy;
    dy.reserve(entry.outputs.size());
    for (const auto& output : entry.outputs) dy.push_back(walk.take(output));
    bool used = std::any_of(dy.begin(), dy.end(), [](const Tensor& gradient) { return bool(gradient); });
    if (!used && !entry.outputs.empty()) continue;
    Gradients gradients = entry.rule.run(dy);
    entry.rule.run = nullptr;  // frees what it captured
    dy.clear();                // and the gradients just used up
    for (size_t i = 0; i < entry.inputs.size() && i < gradients.size(); ++i)
      if (entry.inputs[i] && gradients[i]) walk.deliver(entry.inputs[i], std::move(gradients[i]));
  }
}

RecomputeScope::RecomputeScope() : previous_(recompute_scope) { recompute_scope = this; }
RecomputeScope::~RecomputeScope() { recompute_scope = previous_; }

void RecomputeScope::finish(const Tensor& keep) {
  std::vector<Refill> dropped;
  for (Refill& refill : refills_) {
    bool wanted = false;
    for (Output& output : refill.outputs) {
      auto storage = output.storage.lock();
      if (storage && storage != keep.shared_storage()) wanted = true;
    }
    if (!wanted) continue;
    for (Output& output : refill.outputs)
      if (auto storage = output.storage.lock(); storage && storage != keep.shared_storage()) storage->drop();
    dropped.push_back(std::move(refill));
  }
  refills_.clear();
  on_backward([dropped = std::move(dropped)]() {
    for (const Refill& refill : dropped) {
      std::vector<Tensor> outputs;
      for (const Output& output : refill.outputs) {
        auto storage = output.storage.lock();
        if (!storage) {  // one of several outputs that nothing kept
          outputs.push_back(Tensor::empty(output.shape, output.dtype));
          continue;
        }
        storage->restore();
        outputs.push_back(Tensor::view(std::move(storage), output.offset, output.shape, output.dtype));
      }
      refill.again(outputs);
    }
  });
}

}  // namespace lathe
