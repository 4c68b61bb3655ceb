#pragma once

#include <optional>
#include <string>

#include "lathe/nn/module.h"
#include "lathe/nn/pass.h"
#include "lathe/nn/weight.h"

namespace lathe {

/// Rows of a Linear that belong together: q, k, v; gate, up. Each has a name of its own, by which files and adapters
/// know it; consecutive sections of one name are one tensor in files (GPT-2's c_attn). One without a name, the last, is
/// padding: its rows are zero and in no file.
struct Section {
  std::string name;
  int64_t out = 0;
  int64_t unit = 1;    ///< rows that a split keeps together: a head, a group
  int64_t stride = 0;  ///< > 0: files have unit u at row first + u * stride, among the units of other sections
  int64_t first = 0;
};

/// Which extent of a weight is divided over tensor-parallel ranks (Shoeybi et al. 2019). `out`: each rank computes its
/// part of every section; `in`: each has part of the input, and the products are summed.
enum class Split : uint8_t { none, out, in };

/// Something added inside or behind a Linear: LoRA, DoRA; Houlsby's bottleneck.
class Adapter {
 public:
  virtual ~Adapter() = default;
  /// x [..., in], y [..., out of the whole Linear]; returns y with columns [first, first + out) of this adapter's
  /// section changed. May write into y where it is unique().
  virtual Tensor apply(const Tensor& x, Tensor y, int64_t first, Pass& pass) const = 0;
  virtual void list(Inventory& inventory) = 0;
};

struct LinearOptions {
  int64_t in = 0;
  std::vector<Section> sections;
  bool bias = false;
  bool transposed = false;  ///< files have [in, out]
  Init init = Init::zeros();
  Split split = Split::none;
  Communicator* ranks = nullptr;  ///< null: not divided, whatever `split` says
};

/// What a Linear multiplies: x, or what `norm` makes of it. The norm is left to the Linear, whose weight may have a
/// kernel that takes it along.
struct LinearInput {
  Tensor x;
  std::optional<InputNorm> norm;

  LinearInput(Tensor of) : x(std::move(of)) {}
  LinearInput(Tensor of, InputNorm by) : x(std::move(of)), norm(std::move(by)) {}
  Tensor rows() const { return norm ? normalized(x, *norm) : x; }
};

/// y = x wT, in this order: weight, inner adapters, sum over ranks, bias, outer adapters, residual. The weight's
/// format, its split and its adapters vary independently. Throws Error when a section does not divide over the ranks.
class Linear : public Module {
 public:
  explicit Linear(const LinearOptions& options);
  /// [..., in] -> [..., out], of this rank's extents. `residual` [..., out] is added last, where given.
  Tensor operator()(const LinearInput& input, Pass& pass, const Tensor* residual = nullptr) const;
  /// activate() of that, to the bit. Lets go of `input` before anything is taken for the activation alone.
  Tensor activated(LinearInput input, Pass& pass, Activation activation) const;
  /// gated_activate() of that, to the bit. Lets go of `input` as well.
  Tensor gated(LinearInput input, Pass& pass, Activation activation) const;
  void list(Inventory& inventory) override;

  int64_t in() const { return in_; }  ///< of this rank's part
  int64_t out() const { return out_; }
  const std::vector<Section>& sections() const { return sections_; }  ///< with this rank's extents
  int64_t first_of(size_t section) const;                             ///< its first output column
  Split split() const { return split_; }
  Communicator* ranks() const { return ranks_; }

  struct Attached {
    size_t section;
    std::unique_ptr<Adapter> adapter;
  };
  std::unique_ptr<Weight> weight;
  std::optional<Parameter> bias;
  std::vector<Attached> inner, outer;

 private:
  int64_t in_, out_ = 0;
  std::vector<Section> sections_;
  Split split_;
  Communicator* ranks_;

  /// Whether it is the weight's product with its bias and nothing else, and no tape records.
  bool is_plain(Pass& pass) const;
  bool summed() const { return ranks_ && split_ == Split::in; }
  bool adapted(Pass& pass) const { return pass.adapters().enabled && !(inner.empty() && outer.empty()); }
};

}  // namespace lathe
