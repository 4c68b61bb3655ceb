#include "lathe/files/gguf_model.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "lathe/base/error.h"
#include "lathe/models/family.h"
#include "lathe/quant/block_format.h"

namespace lathe {
namespace {

constexpr int64_t kRowsAtOnce = 256;

const GgufForm& form_of(const ModelConfig& config) {
  const Family& family = family_named(config.model_type);
  require(family.gguf.has_value(), "models of the family ", config.model_type, " cannot be written as GGUF");
  return *family.gguf;
}

const FileTensor& found(const TensorFiles& files, const ModelConfig& config, const Slice& tensor) {
  const FileTensor& there = files.at(tensor.name, family_named(config.model_type).tensor_prefix);
  check_fits(there, tensor);
  return there;
}

/// `count` rows of a whole tensor, in f32.
void read_rows(const FileTensor& from, Slice whole, int64_t first, int64_t count, float* to) {
  whole.first_row = first;
  whole.rows = count;
  read_slice(from, whole, DType::f32, reinterpret_cast<std::byte*>(to));
}

/// Where the model's tensor has the rows of the file's.
std::vector<int64_t> model_rows(const GgufName& name, const ModelConfig& config, int64_t rows) {
  std::vector<int64_t> of_file(size_t(rows), 0);
  for (int64_t row = 0; row < rows; ++row) of_file[size_t(name.file_row ? name.file_row(config, row) : row)] = row;
  return of_file;
}

template <class To>
void write_as(std::span<const float> from, const std::function<void(Bytes)>& write) {
  std::vector<To> to(from.begin(), from.end());
  write(std::as_bytes(std::span(to)));
}

void write_numbers(std::span<const float> from, GgmlType type, const std::function<void(Bytes)>& write) {
  if (type == GgmlType::f32) return write(std::as_bytes(from));
  if (type == GgmlType::f16) return write_as<F16>(from, write);
  if (type == GgmlType::bf16) return write_as<BF16>(from, write);
  const BlockFormat* format = find_block_format(name_of(type));
  require(format != nullptr, name_of(type), " cannot be written; F32, F16, BF16, Q8_0, Q4_0 and Q4_1 can");
  std::vector<std::byte> blocks(size_t(bytes_of_row(*format, int64_t(from.size()))));
  quantize_blocks(*format, from.data(), int64_t(from.size()), blocks.data());
  write(blocks);
}

/// One tensor of a file, from the model's.
struct Rewriter {
  const FileTensor* from;
  Slice whole;
  GgufName name;
  ModelConfig config;
  GgmlType type;

  /// Whether its bytes in the other file are the ones wanted.
  bool same() const {
    return from->out_in && from->type == name_of(type) && bool(from->row) == bool(name.file_row) &&
           from->add == name.add && from->left_out == left_out() && !from->change;
  }
  int64_t left_out() const { return name.left_out ? name.left_out(config) : 0; }

  void operator()(const std::function<void(Bytes)>& write) const {
    if (same()) return write(from->bytes);
    std::vector<int64_t> rows = model_rows(name, config, whole.rows);
    if (whole.vector) return write_vector(rows, write);
    std::vector<float> block(size_t(kRowsAtOnce * whole.columns));
    for (int64_t first = left_out(); first < whole.rows; first += kRowsAtOnce) {
      int64_t count = std::min(kRowsAtOnce, whole.rows - first);
      if (!name.file_row)
        read_rows(*from, whole, first, count, block.data());
      else
        for (int64_t i = 0; i < count; ++i)
          read_rows(*from, whole, rows[size_t(first + i)], 1, block.data() + i * whole.columns);
      subtract(block);
      write_numbers(std::span(block).first(size_t(count * whole.columns)), type, write);
    }
  }

 private:
  void write_vector(const std::vector<int64_t>& rows, const std::function<void(Bytes)>& write) const {
    std::vector<float> numbers(rows.size()), placed(rows.size());
    read_rows(*from, whole, 0, whole.rows, numbers.data());
    for (size_t i = 0; i < rows.size(); ++i) placed[i] = numbers[size_t(rows[i])];
    subtract(placed);
    write_numbers(placed, type, write);
  }
  void subtract(std::vector<float>& numbers) const {
    if (name.add != 0)
      for (float& number : numbers) number -= name.add;
  }
};

/// The name in files of GGUF; empty where the family has none for it.
std::string name_in_file(const GgufForm& form, const std::string& ours, GgufName& how) {
  for (const GgufName& name : form.names)
    if (std::string theirs = renamed(ours, name.model, name.file); !theirs.empty()) {
      how = name;
      return theirs;
    }
  return "";
}

GgufTensorSource source_of(const std::string& name, std::vector<Rewriter> parts, GgmlType wanted) {
  const Rewriter& first = parts.front();
  std::vector<int64_t> shape = {first.whole.rows - first.left_out()};
  if (!first.whole.vector) shape.push_back(first.whole.columns);
  if (first.name.model.find('#') != std::string::npos) shape.insert(shape.begin(), int64_t(parts.size()));
  GgmlType type = gguf_type_of(name, shape, wanted, first.config.tie_word_embeddings);
  for (Rewriter& part : parts) part.type = type;
  return {name, type, shape, [parts = std::move(parts)](const std::function<void(Bytes)>& write) {
            for (const Rewriter& part : parts) part(write);
          }};
}

/// A safetensors tensor of the model's form from wherever it lies.
void write_safetensor(const FileTensor& from, const Slice& whole, DType dtype,
                      const std::function<void(Bytes)>& write) {
  auto put = [&](std::span<const float> numbers) {
    visit_floating(dtype, [&]<class To>(Element<To>) { write_as<To>(numbers, write); });
  };
  if (!whole.transposed) {
    std::vector<float> rows(size_t(kRowsAtOnce * whole.columns));
    for (int64_t first = 0; first < whole.rows; first += kRowsAtOnce) {
      int64_t count = std::min(kRowsAtOnce, whole.rows - first);
      read_rows(from, whole, first, count, rows.data());
      put(std::span(rows).first(size_t(count * whole.columns)));
    }
    return;
  }
  std::vector<float> all(size_t(whole.rows * whole.columns)), column(size_t(whole.rows));
  read_rows(from, whole, 0, whole.rows, all.data());
  for (int64_t c = 0; c < whole.columns; ++c) {
    for (int64_t r = 0; r < whole.rows; ++r) column[size_t(r)] = all[size_t(r * whole.columns + c)];
    put(column);
  }
}

/// The number that says of what type most of a file is (llama.cpp's llama_ftype).
int64_t file_type(GgmlType type) {
  switch (type) {
    case GgmlType::f32:
      return 0;
    case GgmlType::f16:
      return 1;
    case GgmlType::q4_0:
      return 2;
    case GgmlType::q4_1:
      return 3;
    case GgmlType::q8_0:
      return 7;
    case GgmlType::bf16:
      return 32;
    default:
      throw Error(text(name_of(type), " cannot be written; F32, F16, BF16, Q8_0, Q4_0 and Q4_1 can"));
  }
}

}  // namespace

std::vector<Slice> tensors_of_model(const ModelConfig& config) {
  Runtime meta(Device{.meta = true}, Runtime::kUnbounded);
  std::unique_ptr<Model> model = make_model(config);
  std::set<std::string> names;
  std::vector<Slice> tensors;
  for (const Stored* stored : model->inventory().stored)
    for (const Slice& slice : stored->slices) {
      if (!names.insert(slice.name).second) continue;
      Slice whole = slice;
      whole.first_row = whole.first_column = 0;
      whole.rows = whole.whole_rows;
      whole.columns = whole.whole_columns;
      tensors.push_back(whole);
    }
  return tensors;
}

GgmlType gguf_type_of(const std::string& name, const std::vector<int64_t>& shape, GgmlType wanted, bool tied) {
  bool matrix = shape.size() >= 2 && name.ends_with(".weight");
  for (const char* kept : {"_norm.weight", "position_embd.weight", "token_types.weight", "ffn_gate_inp.weight"})
    matrix = matrix && !name.ends_with(kept);
  if (!matrix) return GgmlType::f32;
  if (shape.back() % ggml_block(wanted).elements != 0) return GgmlType::f16;
  bool head = name == "output.weight" || (tied && name == "token_embd.weight");
  return head && (wanted == GgmlType::q4_0 || wanted == GgmlType::q4_1) ? GgmlType::q8_0 : wanted;
}

std::vector<GgufTensorSource> gguf_sources(const TensorFiles& files, const ModelConfig& config, GgmlType wanted) {
  const GgufForm& form = form_of(config);
  std::vector<std::string> order;
  std::map<std::string, std::vector<Rewriter>> parts;  // of a tensor of the file: one, or a matrix for each expert
  for (const Slice& tensor : tensors_of_model(config)) {
    Rewriter rewriter{&found(files, config, tensor), tensor, {}, config, wanted};
    std::string name = name_in_file(form, tensor.name, rewriter.name);
    require(!name.empty(), "tensor \"", tensor.name, "\": GGUF files of ", form.architecture, " have no place for it");
    if (!parts.contains(name)) order.push_back(name);
    parts[name].push_back(rewriter);
  }
  if (form.head_apart && parts.emplace("output.weight", parts["token_embd.weight"]).second)
    order.push_back("output.weight");
  std::vector<GgufTensorSource> sources;
  for (const std::string& name : order) sources.push_back(source_of(name, parts[name], wanted));
  if (form.config_tensors)
    for (GgufTensorSource& source : form.config_tensors(config)) sources.push_back(std::move(source));
  return sources;
}

GgufMetadata gguf_metadata(const ModelConfig& config, GgmlType wanted) {
  const GgufForm& form = form_of(config);
  GgufMetadata metadata;
  metadata.set_string("general.architecture", form.architecture);
  metadata.set_string("general.type", "model");
  form.write(config, metadata);
  metadata.set_u32("general.file_type", file_type(wanted));
  if (ggml_block(wanted).elements > 1) metadata.set_u32("general.quantization_version", 2);
  return metadata;
}

std::vector<TensorSource> safetensors_sources(const TensorFiles& files, const ModelConfig& config, DType dtype) {
  std::vector<TensorSource> sources;
  for (const Slice& tensor : tensors_of_model(config)) {
    const FileTensor& from = found(files, config, tensor);
    sources.push_back({tensor.name, dtype, file_shape(tensor),
                       [&from, tensor, dtype](const auto& write) { write_safetensor(from, tensor, dtype, write); }});
  }
  return sources;
}

std::string main_type(const TensorFiles& files) {
  std::map<std::string_view, int64_t> elements;
  for (const std::string& name : files.names()) {
    const FileTensor& tensor = *files.find(name);
    if (tensor.shape.size() < 2) continue;
    int64_t count = 1;
    for (int64_t extent : tensor.shape) count *= extent;
    elements[tensor.type] += count;
  }
  auto most = std::max_element(elements.begin(), elements.end(), [](auto& a, auto& b) { return a.second < b.second; });
  require(most != elements.end(), files.path(), ": holds no matrix");
  return std::string(most->first);
}

}  // namespace lathe
