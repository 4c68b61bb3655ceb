#include "lathe/nn/linear.h"

#include "lathe/comm/communicator.h"
#include "lathe/ops/elementwise.h"
#include "lathe/ops/embedding.h"
#include "lathe/tensor/sum.h"
#include "lathe/tensor/tape.h"

namespace lathe {

Tensor Weight::multiply_groups(const Tensor&, const Tensor&) const {
  throw InternalError("this weight format has no groups");
}

Tensor Weight::multiply_normed(const Tensor& x, const InputNorm& norm, const NormedEpilogue& epilogue) const {
  Tensor y = multiply(normalized(x, norm), {.bias = epilogue.bias});
  return epilogue.gate ? gated_activate(y, *epilogue.gate) : y;
}

Tensor DenseWeight::multiply(const Tensor& x, const Epilogue& epilogue) const {
  return packed_ ? matmul(x, *packed_, epilogue) : matmul(x, parameter.value, epilogue);
}

Tensor DenseWeight::multiply_normed(const Tensor& x, const InputNorm& norm, const NormedEpilogue& epilogue) const {
  return packed_ ? matmul_normed(x, norm, *packed_, epilogue) : Weight::multiply_normed(x, norm, epilogue);
}

Tensor DenseWeight::multiply_groups(const Tensor& x, const Tensor& offsets) const {
  return matmul_groups(x, parameter.value, offsets);
}

Tensor DenseWeight::rows(const Tensor& ids) const {
  return packed_ ? packed_rows(*packed_, ids) : embedding(ids, parameter.value);
}

Tensor DenseWeight::dequantize() const {
  if (packed_) throw InternalError(parameter.name() + ": a prepared weight is not laid out as [out, in]");
  return parameter.value.detached();
}

void DenseWeight::materialize(DType compute) {
  bool packs = parameter.value.shape().rank() == 2 && !rows_alone_;
  parameter.materialize(compute, packs ? packed_bytes(parameter.value.shape(), compute) : 0);
}

void DenseWeight::prepare() {
  if (packed_ || rows_alone_ || parameter.value.shape().rank() > 2) return;
  packed_ = pack_in_place(parameter.value);
  parameter.value = parameter.kept = Tensor::declare(packed_->shape, packed_->panels.dtype());
}

void DenseWeight::list(Inventory& inventory) {
  inventory.add(*this);
  inventory.add(parameter);
}

namespace {

/// The identity going forward; sums the gradients of all ranks going back.
Tensor shared_input(const Tensor& x, Communicator& ranks) {
  Tensor y = x.detached();
  record({&y}, {&x}, {[&ranks](std::span<const Tensor> dy) -> Gradients {
           Tensor dx = dy[0].unique() ? dy[0] : copied(dy[0]);
           ranks.all_reduce(dx).wait();
           return {dx};
         }});
  return y;
}

/// Sums the products of all ranks going forward, in place; the identity going back.
Tensor summed_output(Tensor x, Communicator& ranks) {
  Tensor y = x.detached();
  ranks.all_reduce(y).wait();
  record({&y}, {&x}, {[](std::span<const Tensor> dy) -> Gradients { return {dy[0]}; }});
  return y;
}

/// One slice for each unit of this rank's part of `section`, whose units lie among others.
void put_interleaved(const LinearOptions& o, const Section& section, const std::string& name, int64_t whole,
                     bool vector, std::vector<Slice>& slices) {
  bool divided = o.ranks && o.split == Split::out;
  int64_t units = section.out / section.unit / (divided ? o.ranks->size() : 1);
  int64_t first_unit = divided ? o.ranks->rank() * units : 0;
  for (int64_t unit = first_unit; unit < first_unit + units; ++unit)
    slices.push_back({name, whole, vector ? 1 : o.in, section.first + unit * section.stride, section.unit, 0,
                      vector ? 1 : o.in, o.transposed && !vector, vector});
}

/// One slice for each run of equally named sections, with this rank's rows and columns of them.
std::vector<Slice> slices_of(const LinearOptions& o, const char* suffix, bool vector) {
  int64_t ranks = o.ranks ? o.ranks->size() : 1, rank = o.ranks ? o.ranks->rank() : 0;
  std::vector<Slice> slices;
  for (size_t i = 0; i < o.sections.size(); ++i) {
    if (o.sections[i].name.empty()) continue;
    const std::string name = o.sections[i].name + suffix;
    int64_t before = 0, whole = 0;
    for (size_t j = 0; j < o.sections.size(); ++j) {
      if (o.sections[j].name != o.sections[i].name) continue;
      whole += o.sections[j].out;
      if (j < i) before += o.sections[j].out;
    }
    if (o.sections[i].stride > 0) {
      put_interleaved(o, o.sections[i], name, whole, vector, slices);
      continue;
    }
    int64_t rows = o.sections[i].out, columns = vector ? 1 : o.in, first_column = 0, first = before;
    if (o.split == Split::out) {
      rows /= ranks;
      first += rank * rows;
    }
    if (o.split == Split::in && !vector) {
      columns /= ranks;
      first_column = rank * columns;
    }
    bool continues =
        !slices.empty() && slices.back().name == name && slices.back().first_row + slices.back().rows == first;
    if (continues)
      slices.back().rows += rows;
    else
      slices.push_back(
          {name, whole, vector ? 1 : o.in, first, rows, first_column, columns, o.transposed && !vector, vector});
  }
  return slices;
}

void check_divisible(const LinearOptions& o, int64_t ranks) {
  for (const Section& section : o.sections)
    require(o.split != Split::out || section.out % (section.unit * ranks) == 0, section.name, ": ",
            section.out / section.unit, " parts of ", section.unit, " rows do not divide over ", ranks,
            " tensor-parallel ranks");
  require(o.split != Split::in || o.in % ranks == 0, o.sections.front().name, ": ", o.in, " inputs do not divide over ",
          ranks, " tensor-parallel ranks");
}

}  // namespace

Linear::Linear(const LinearOptions& options)
    : in_(options.in),
      sections_(options.sections),
      split_(options.split),
      ranks_(options.split != Split::none && options.ranks && options.ranks->size() > 1 ? options.ranks : nullptr) {
  LinearOptions o = options;
  o.ranks = ranks_;
  if (!ranks_) o.split = Split::none;
  if (ranks_) check_divisible(o, ranks_->size());
  for (Section& section : sections_) {
    if (ranks_ && split_ == Split::out) section.out /= ranks_->size();
    out_ += section.out;
  }
  if (ranks_ && split_ == Split::in) in_ /= ranks_->size();
  weight = std::make_unique<DenseWeight>(Shape{out_, in_}, slices_of(o, ".weight", false), o.init);
  if (o.bias) bias.emplace(Shape{out_}, slices_of(o, ".bias", true), Init::zeros(), true);
}

int64_t Linear::first_of(size_t section) const {
  int64_t first = 0;
  for (size_t i = 0; i < section; ++i) first += sections_[i].out;
  return first;
}

bool Linear::is_plain(Pass& pass) const { return !Recording::current() && !summed() && !adapted(pass); }

Tensor Linear::operator()(const LinearInput& input, Pass& pass, const Tensor* residual) const {
  if (input.norm && is_plain(pass) && !residual)
    return weight->multiply_normed(input.x, *input.norm, {.bias = bias ? &bias->value : nullptr});
  Tensor x = input.rows();
  if (ranks_ && split_ == Split::out) x = shared_input(x, *ranks_);
  if (!summed() && !adapted(pass)) return weight->multiply(x, {bias ? &bias->value : nullptr, residual});
  Tensor y = weight->multiply(x, {});
  if (adapted(pass))
    for (const Attached& attached : inner)
      y = attached.adapter->apply(x, std::move(y), first_of(attached.section), pass);
  if (summed()) y = summed_output(std::move(y), *ranks_);
  if (bias) y = add_bias(y, bias->value);
  if (adapted(pass))
    for (const Attached& attached : outer)
      y = attached.adapter->apply(x, std::move(y), first_of(attached.section), pass);
  return residual ? add(y, *residual) : y;
}

Tensor Linear::activated(LinearInput input, Pass& pass, Activation activation) const {
  if (is_plain(pass))
    return weight->multiply(input.rows(), {.bias = bias ? &bias->value : nullptr, .activation = activation});
  Tensor y = (*this)(input, pass);
  input = Tensor();
  return activate(std::move(y), activation);
}

Tensor Linear::gated(LinearInput input, Pass& pass, Activation activation) const {
  if (input.norm && is_plain(pass))
    return weight->multiply_normed(input.x, *input.norm, {.bias = bias ? &bias->value : nullptr, .gate = activation});
  Tensor y = (*this)(input, pass);
  input = Tensor();
  return gated_activate(y, activation);
}

void Linear::list(Inventory& inventory) {
  inventory.linears.push_back(this);
  inventory.add(weight);
  if (bias) inventory.add(*bias);
  for (Attached& attached : inner) attached.adapter->list(inventory);
  for (Attached& attached : outer) attached.adapter->list(inventory);
}

}  // namespace lathe
