// Compiled by the host's compiler: there are no kernels here, and nvcc takes minutes for the headers.
#include "lathe/ops/attention_cudnn.cuh"

#ifdef LATHE_CUDNN
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING  // libcudnn is opened when it is needed, and may be missing
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <map>
#include <mutex>

#include "lathe/tensor/launch.cuh"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // where the frontend looks for cuDNN's functions
}

namespace lathe {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using Operand = std::shared_ptr<Tensor_attributes>;

/// What a plan depends on. Row strides are in elements.
struct PlanShape {
  int64_t batch, heads, kv_heads, queries, keys, dim, causal, statistics, query_row, key_row;
  float scale;
  auto operator<=>(const PlanShape&) const = default;
};

PlanShape shape_of(const AttentionInput& in, bool statistics) {
  AttentionRows rows(in);
  const AttentionSpec& spec = in.spec;
  return {in.sequences(), spec.heads, spec.kv_heads, in.longest_queries, in.longest_keys, spec.head_dim,
          spec.causal,    statistics, rows.queries,  rows.keys,          spec.scale};
}

/// Whether all sequences are as long as the longest, which offsets on the device need not be read for.
bool is_even(const AttentionInput& in) {
  return !in.memory_lengths && in.sequences() * in.longest_queries == in.q.shape()[0] &&
         in.sequences() * in.longest_keys == in.kv.shape()[0];
}

bool fits(const AttentionInput& in) {
  const AttentionSpec& spec = in.spec;
  bool plain = spec.window == 0 && spec.softcap == 0 && !spec.bias && spec.head_dim % 8 == 0 && spec.head_dim <= 256;
  bool aligned = !spec.causal || in.longest_queries == in.longest_keys;  // ends of queries and keys
  return plain && aligned && in.q.dtype() == DType::bf16 && is_even(in);
}

/// Names of operands.
enum Name : int64_t { kQ = 1, kK, kV, kOut, kLogsumexp };

/// A graph of one operation, being made.
struct Maker {
  const PlanShape& shape;
  std::unique_ptr<fe::graph::Graph> graph = std::make_unique<fe::graph::Graph>();

  explicit Maker(const PlanShape& of) : shape(of) {
    graph->set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
  }
  /// [batch, heads, length, dim] with tokens `row` apart.
  Tensor_attributes describe(Name name, int64_t heads, int64_t length, int64_t row) const {
    return Tensor_attributes()
        .set_uid(name)
        .set_dim({shape.batch, heads, length, shape.dim})
        .set_stride({length * row, shape.dim, row, 1});
  }
  Operand queries(Name name) { return graph->tensor(describe(name, shape.heads, shape.queries, shape.query_row)); }
  Operand keys(Name name) { return graph->tensor(describe(name, shape.kv_heads, shape.keys, shape.key_row)); }
  /// f32 [heads, tokens].
  Tensor_attributes logsumexp() const {
    return Tensor_attributes()
        .set_uid(kLogsumexp)
        .set_data_type(fe::DataType_t::FLOAT)
        .set_dim({shape.batch, shape.heads, shape.queries, 1})
        .set_stride({shape.queries, shape.batch * shape.queries, 1, 1});
  }
  static void written(const Operand& operand, Tensor_attributes as) {
    operand->set_output(true).set_uid(as.get_uid()).set_dim(as.get_dim()).set_stride(as.get_stride());
    operand->set_data_type(as.get_data_type());
  }
  void forward() {
    fe::graph::SDPA_attributes attributes;
    attributes.set_attn_scale(shape.scale).set_generate_stats(shape.statistics != 0);
    if (shape.causal)
      attributes.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT).set_diagonal_band_right_bound(0);
    auto [out, logsumexp] = graph->sdpa(queries(kQ), keys(kK), keys(kV), attributes);
    written(out, describe(kOut, shape.heads, shape.queries, shape.heads * shape.dim));
    if (shape.statistics) written(logsumexp, this->logsumexp());
  }
  /// Null where cuDNN cannot.
  std::unique_ptr<fe::graph::Graph> build(cudnnHandle_t handle) {
    bool built = graph->validate().is_good() && graph->build_operation_graph(handle).is_good() &&
                 graph->create_execution_plans({fe::HeurMode_t::A}).is_good() && graph->check_support().is_good() &&
                 graph->build_plans().is_good();
    return built ? std::move(graph) : nullptr;
  }
};

/// cuDNN as this process has it.
class Cudnn {
 public:
  static Cudnn& instance() {
    static Cudnn one;
    return one;
  }
  /// Runs the plan for `shape` with `operands`; false where there is none, or too little workspace.
  bool run(const PlanShape& shape, std::unordered_map<int64_t, void*> operands, Tensor& workspace,
           cudaStream_t stream) {
    std::lock_guard lock(mutex_);
    if (!handle_) return false;
    fe::graph::Graph* plan = plan_of(shape);
    if (!plan || plan->get_workspace_size() > workspace.bytes()) return false;
    fe::detail::set_stream(handle_, stream);
    fe::error_t result = plan->execute(handle_, operands, workspace.data<std::byte>());
    require(result.is_good(), "cuDNN: ", result.get_message());
    return true;
  }

 private:
  Cudnn() {
    setenv("CUDNN_FRONTEND_CUDART_LIB_NAME", "libcudart.so.13", 0);  // that this plugin is linked with
    fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    if (fe::cudnn_dlhandle && fe::detail::create_handle(&handle_) != CUDNN_STATUS_SUCCESS) handle_ = nullptr;
  }
  fe::graph::Graph* plan_of(const PlanShape& shape) {
    auto [found, missing] = plans_.try_emplace(shape);
    if (missing) {
      Maker maker(shape);
      maker.forward();
      found->second = maker.build(handle_);
    }
    return found->second.get();
  }

  std::mutex mutex_;
  cudnnHandle_t handle_ = nullptr;
  std::map<PlanShape, std::unique_ptr<fe::graph::Graph>> plans_;
};

void* at(const Tensor& tensor, int64_t element) { return tensor.data<std::byte>() + element * size_of(tensor.dtype()); }

}  // namespace

bool cudnn_forward(const AttentionInput& in, Tensor& out, Tensor& logsumexp, Tensor& workspace) {
  if (!fits(in)) return false;
  AttentionRows rows(in);
  std::unordered_map<int64_t, void*> operands{
      {kQ, at(in.q, 0)}, {kK, at(in.kv, rows.first_key)}, {kV, at(in.kv, rows.first_value)}, {kOut, at(out, 0)}};
  if (logsumexp) operands[kLogsumexp] = at(logsumexp, 0);
  return Cudnn::instance().run(shape_of(in, bool(logsumexp)), std::move(operands), workspace, stream_of(out));
}

}  // namespace lathe

#else

namespace lathe {

bool cudnn_forward(const AttentionInput&, Tensor&, Tensor&, Tensor&) { return false; }

}  // namespace lathe

#endif
