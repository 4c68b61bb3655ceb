#include "lathe/files/tensor_files.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/json.h"
#include "lathe/base/log.h"
#include "lathe/files/gguf_config.h"
#include "lathe/models/family.h"
#include "lathe/tensor/host_bytes.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kPyTorch = "pytorch_model.bin";

std::set<std::string> files_of_index(const std::string& path) {
  nlohmann::json json = read_json(path);
  require(json.is_object() && json.contains("weight_map") && json["weight_map"].is_object(), path,
          ": no JSON object with a weight_map");
  std::set<std::string> names;
  for (auto& [tensor, name] : json["weight_map"].items()) {
    require(name.is_string(), path, ": the file of \"", tensor, "\" is no string");
    std::string file_name = name.get<std::string>();
    require(file_name == fs::path(file_name).filename().string(), path, ": \"", file_name, "\" is no file beside it");
    names.insert(file_name);
  }
  return names;
}

/// What a tensor of a model of images and text is called in the text model alone; nothing: it is another model's.
/// (transformers has written both language_model.model.* and model.language_model.*.)
std::optional<std::string> name_in_text_model(std::string_view name) {
  for (std::string_view other : {"vision_tower.", "multi_modal_projector.", "image_newline"})
    for (std::string_view before : {"", "model."})
      if (name.starts_with(before) && name.substr(before.size()).starts_with(other)) return std::nullopt;
  for (auto [wrapped, plain] : {std::pair<std::string_view, const char*>("language_model.model.", "model."),
                                {"language_model.lm_head.", "lm_head."},
                                {"model.language_model.", "model."},
                                {"language_model.", "model."}})
    if (name.starts_with(wrapped)) return plain + std::string(name.substr(wrapped.size()));
  return std::string(name);
}

template <class From, class To>
void copy_elements(const From* from, int64_t from_stride, To* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = To(float(from[i * from_stride]));
}

void load(Stored& stored, const TensorFiles& files, const std::string& prefix) {
  std::optional<HostBytes> host;
  if (!stored.kept.is_meta()) host.emplace(stored.kept, HostBytes::Use::write);
  DType dtype = stored.kept.dtype();
  int64_t done = 0;
  for (const Slice& slice : stored.slices) {
    const FileTensor& tensor = files.at(slice.name, prefix);
    check_fits(tensor, slice);
    if (host) read_slice(tensor, slice, dtype, host->data<std::byte>() + done);
    done += slice.rows * (dtype == DType::u8 ? stored.kept.shape()[1] : slice.columns * size_of(dtype));
  }
  if (host) host->store();
}

/// A slice and where its rows begin in its tensor.
struct Part {
  const Slice* slice;
  Tensor kept;
  int64_t first = 0;  ///< element
};

/// The element (row, column) of the named tensor that `parts` make up, row by row of the file.
void write_parts(const std::vector<Part>& parts, DType dtype, const std::function<void(Bytes)>& write) {
  const Slice& any = *parts.front().slice;
  std::vector<int64_t> shape = file_shape(any);
  int64_t rows = shape.size() == 1 ? 1 : shape[0], columns = shape.back();
  std::vector<std::byte> line(size_t(columns * size_of(dtype)));
  std::vector<HostBytes> bytes;
  for (const Part& part : parts) bytes.emplace_back(part.kept, HostBytes::Use::read);
  auto element_row = [&](int64_t row, auto* to, auto tag) {
    using From = typename decltype(tag)::type;
    for (size_t i = 0; i < parts.size(); ++i) {
      const Slice& s = *parts[i].slice;
      const From* from = bytes[i].template data<From>() + parts[i].first;
      if (s.vector)
        copy_elements(from, 1, to + s.first_row, s.rows);
      else if (!s.transposed && row >= s.first_row && row < s.first_row + s.rows)
        copy_elements(from + (row - s.first_row) * s.columns, 1, to + s.first_column, s.columns);
      else if (s.transposed && row >= s.first_column && row < s.first_column + s.columns)
        copy_elements(from + (row - s.first_column), s.columns, to + s.first_row, s.rows);
    }
  };
  visit_floating(dtype, [&]<class To>(Element<To>) {
    visit_floating(parts.front().kept.dtype(), [&](auto tag) {
      for (int64_t row = 0; row < rows; ++row) {
        element_row(row, reinterpret_cast<To*>(line.data()), tag);
        write(line);
      }
    });
  });
}

/// True when `parts` are all of their tensor.
bool are_whole(const std::vector<Part>& parts) {
  int64_t elements = 0;
  for (const Part& part : parts) elements += part.slice->rows * part.slice->columns;
  return elements == parts.front().slice->whole_rows * parts.front().slice->whole_columns;
}

}  // namespace

TensorFiles::TensorFiles(const std::string& model) : path_(model) {
  if (is_gguf(model))
    add_gguf();
  else
    add_directory(fs::path(model));
  if (left_out_ > 0)
    log_info(path_, ": the text model is read alone, its vision part is left out: ", left_out_, " tensors");
}

TensorFiles TensorFiles::of_file(const std::string& path) {
  TensorFiles files;
  files.path_ = path;
  files.add_file(path);
  return files;
}

void TensorFiles::add_directory(const fs::path& directory) {
  for (const char* single : {kSingle, kPyTorch}) {
    const fs::path file = directory / single, index = directory / text(single, ".index.json");
    if (fs::exists(file)) return add_file(file.string());
    if (!fs::exists(index)) continue;
    for (const std::string& name : files_of_index(index.string())) {
      require(fs::exists(directory / name), index.string(), " names ", name,
              ", which is not beside it; fetch that file, too");
      add_file((directory / name).string());
    }
    return;
  }
  throw Error(text(path_, ": neither ", kSingle, " nor ", kIndex, " is there, nor ", kPyTorch));
}

void TensorFiles::add(FileTensor&& tensor) {
  std::optional<std::string> name = name_in_text_model(tensor.name);
  if (!name) {
    ++left_out_;
    return;
  }
  auto [there, fresh] = tensors_.try_emplace(std::move(*name), std::move(tensor));  // stays where one is there
  require(fresh, tensor.file, ": tensor \"", tensor.name, "\" is in ", there->second.file,
          " too; which of them counts is not said");
  names_.push_back(there->first);
}

void TensorFiles::put(const std::string& name, FileTensor tensor) {
  if (tensors_.insert_or_assign(name, std::move(tensor)).second) names_.push_back(name);
}

void TensorFiles::add_file(const std::string& path) {
  if (path.ends_with(".safetensors")) {
    SafetensorsFile& file = *safetensors_.emplace_back(std::make_unique<SafetensorsFile>(path));
    std::vector<TensorEntry> entries = file.take_entries();
    tensors_.reserve(names_.size() + entries.size());
    names_.reserve(names_.size() + entries.size());
    for (TensorEntry& entry : entries)
      add({std::move(entry.name), file.path(), entry.type->name, std::move(entry.shape), file.bytes(entry)});
  } else {
    const PyTorchFile& file = *pytorch_.emplace_back(std::make_unique<PyTorchFile>(path));
    for (const PyTorchTensor& tensor : file.tensors())
      add({tensor.name, file.path(), tensor.type->name, tensor.shape, tensor.bytes});
  }
}

void TensorFiles::add_named(FileTensor tensor, const std::string& ours) {
  if (!tensors_.contains(ours)) names_.push_back(ours);
  tensors_.insert_or_assign(ours, std::move(tensor));
}

/// The matrices of [experts, out, in] one by one.
void TensorFiles::add_experts(const FileTensor& all, const std::string& ours, int64_t experts) {
  require(all.shape.size() == 3 && all.shape[0] == experts, all.file, ": tensor \"", all.name, "\" is ",
          shape_text(all.shape), "; the model needs a matrix for each of ", experts, " experts");
  const size_t at = ours.find('#'), bytes = all.bytes.size() / size_t(experts);
  for (int64_t expert = 0; expert < experts; ++expert) {
    FileTensor one = all;
    one.shape.erase(one.shape.begin());
    one.bytes = all.bytes.subspan(size_t(expert) * bytes, bytes);
    add_named(std::move(one), ours.substr(0, at) + std::to_string(expert) + ours.substr(at + 1));
  }
}

void TensorFiles::add_gguf() {
  gguf_ = std::make_unique<GgufFile>(path_);
  const ModelConfig config = gguf_model_config(*gguf_);
  const std::vector<std::string>& of_config = family_named(config.model_type).gguf->of_config;
  std::set<std::string_view> known(of_config.begin(), of_config.end());
  for (const GgufName& name : family_named(config.model_type).gguf->names)
    for (const GgufTensor& entry : gguf_->tensors()) {
      std::string ours = renamed(entry.name, name.file, name.model);
      if (ours.empty()) continue;
      known.insert(entry.name);
      FileTensor tensor{
          entry.name, gguf_->path(entry), name_of(entry.type), entry.shape, gguf_->bytes(entry), true, nullptr,
          name.add};
      if (name.left_out) tensor.left_out = name.left_out(config);
      if (name.file_row) tensor.row = [map = name.file_row, config](int64_t row) { return map(config, row); };
      if (ours.find('#') == std::string::npos)
        add_named(std::move(tensor), ours);
      else
        add_experts(tensor, ours, config.num_local_experts);
    }
  for (const GgufTensor& entry : gguf_->tensors())
    require(known.contains(entry.name), gguf_->path(entry), ": tensor \"", entry.name,
            "\" has no place in a model of the family ", config.model_type);
}

/// What the first BERT files call weight and bias of a LayerNorm; empty for other names.
static std::string older_name(const std::string& name) {
  for (auto [ending, older] : {std::pair(".LayerNorm.weight", "gamma"), std::pair(".LayerNorm.bias", "beta")})
    if (name.ends_with(ending)) return name.substr(0, name.rfind('.') + 1) + older;
  return "";
}

const FileTensor* TensorFiles::find(const std::string& name, const std::string& optional_prefix) const {
  auto found = tensors_.find(name);
  if (found == tensors_.end() && !optional_prefix.empty())
    found =
        tensors_.find(name.starts_with(optional_prefix) ? name.substr(optional_prefix.size()) : optional_prefix + name);
  if (found != tensors_.end()) return &found->second;
  std::string older = older_name(name);
  return older.empty() ? nullptr : find(older, optional_prefix);
}

const FileTensor& TensorFiles::at(const std::string& name, const std::string& optional_prefix) const {
  if (const FileTensor* tensor = find(name, optional_prefix)) return *tensor;
  std::string there;
  if (gguf_)
    for (const GgufName& known : family_named(gguf_model_config(*gguf_).model_type).gguf->names)
      if (there.empty()) there = renamed(name, known.model, known.file);
  throw Error(text(path_, ": no tensor \"", there.empty() ? name : there, "\"; the model needs it",
                   there.empty() ? "" : " as " + name));
}

void TensorFiles::forget() const {
  for (const auto& file : safetensors_) file->forget();
  for (const auto& file : pytorch_) file->forget();
  if (gguf_) gguf_->forget();
}

void TensorFiles::require_all_used(const Inventory& inventory) const {
  if (!gguf_) return;
  std::set<std::string_view> used;  // in the file, where a tensor may have several names of ours
  for (const Stored* stored : inventory.stored)
    for (const Slice& slice : stored->slices)
      if (auto found = tensors_.find(slice.name); found != tensors_.end()) used.insert(found->second.name);
  for (const std::string& name : names_)
    require(used.contains(tensors_.at(name).name), path_, ": tensor \"", tensors_.at(name).name,
            "\" has no place in the model that the metadata describe");
}

void load_tensors(const Inventory& inventory, const TensorFiles& files, const std::string& optional_prefix) {
  for (Stored* stored : inventory.stored) load(*stored, files, optional_prefix);
  for (Parameter* parameter : inventory.parameters) parameter->refresh();
}

std::vector<TensorSource> tensor_sources(const Inventory& inventory, DType dtype) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<Part>> parts;
  for (const Stored* stored : inventory.stored) {
    int64_t first = 0;
    for (const Slice& slice : stored->slices) {
      auto& named = parts[slice.name];
      if (named.empty()) order.push_back(slice.name);
      named.push_back({&slice, stored->kept.detached(), first});
      first += slice.rows * slice.columns;
    }
  }
  std::vector<TensorSource> sources;
  for (const std::string& name : order) {
    auto& named = parts[name];
    if (!are_whole(named)) continue;
    sources.push_back({name, dtype, file_shape(*named.front().slice),
                       [named, dtype](const std::function<void(Bytes)>& write) { write_parts(named, dtype, write); }});
  }
  return sources;
}

void save_tensors(const std::string& directory, std::span<const TensorSource> tensors, int64_t max_file_bytes) {
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};  // transformers asks for it
  if (safetensors_bytes(tensors, metadata) <= max_file_bytes)
    return write_safetensors((fs::path(directory) / kSingle).string(), tensors, metadata);
  std::vector<std::span<const TensorSource>> files;
  int64_t total = 0;
  for (size_t first = 0, i = 0; i < tensors.size(); first = i) {
    int64_t bytes = 0;
    do {
      bytes += safetensors_bytes(tensors.subspan(i, 1));
      ++i;
    } while (i < tensors.size() && bytes + safetensors_bytes(tensors.subspan(i, 1)) <= max_file_bytes);
    files.push_back(tensors.subspan(first, i - first));
    total += bytes;
  }
  nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}},
                                  {"weight_map", nlohmann::ordered_json::object()}};
  for (size_t i = 0; i < files.size(); ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, files.size());
    write_safetensors((fs::path(directory) / name).string(), files[i], metadata);
    for (const TensorSource& tensor : files[i]) index["weight_map"][tensor.name] = name;
  }
  replace_file((fs::path(directory) / kIndex).string(), index.dump(2) + "\n");
}

}  // namespace lathe
