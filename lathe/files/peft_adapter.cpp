#include "lathe/files/peft_adapter.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "lathe/adapters/lora.h"
#include "lathe/base/error.h"
#include "lathe/files/gguf_model.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBegins = "base_model.model.";  // what PEFT puts before the names of the base model

/// The base model's tensors and layers.
struct Base {
  std::map<std::string, Slice> tensors;
  std::set<std::string> linears, tables;  ///< names without ".weight"
  std::string prefix;

  explicit Base(const ModelConfig& config) : prefix(family_named(config.model_type).tensor_prefix) {
    for (const Slice& tensor : tensors_of_model(config)) tensors.emplace(tensor.name, tensor);
    Runtime meta(Device{.meta = true}, Runtime::kUnbounded);
    std::unique_ptr<Model> model = make_model(config);
    for (const Linear* linear : model->inventory().linears)
      for (const Section& section : linear->sections())
        if (!section.name.empty()) linears.insert(section.name);
    for (std::unique_ptr<Weight>* holder : model->inventory().holders) {
      Inventory inventory;
      (*holder)->list(inventory);
      for (const Stored* stored : inventory.stored)
        if (std::string name = stored->name(); name.ends_with(".weight"))
          if (name.resize(name.size() - 7); !linears.contains(name)) tables.insert(name);
    }
  }

  /// The name that the model has for what the adapter calls `name` + `ending`; empty: nothing is called that.
  std::string ours(const std::string& name, const char* ending = "") const {
    if (tensors.contains(name + ending)) return name;
    if (tensors.contains(prefix + name + ending)) return prefix + name;
    bool longer = !prefix.empty() && name.starts_with(prefix);
    return longer && tensors.contains(name.substr(prefix.size()) + ending) ? name.substr(prefix.size()) : "";
  }
};

struct Ending {
  const char* text;
  const FileTensor* AdaptedMatrix::*place;
  bool linear;
};
constexpr Ending kEndings[] = {{".lora_A.weight", &AdaptedMatrix::down, true},
                               {".lora_B.weight", &AdaptedMatrix::up, true},
                               {".lora_embedding_A", &AdaptedMatrix::up, false},
                               {".lora_embedding_B", &AdaptedMatrix::down, false},
                               {".lora_magnitude_vector", &AdaptedMatrix::magnitude, true},
                               {".lora_magnitude_vector.weight", &AdaptedMatrix::magnitude, true}};

const Ending* ending_of(const std::string& name) {
  for (const Ending& ending : kEndings)
    if (name.ends_with(ending.text)) return &ending;
  return nullptr;
}

std::string without(std::string name, const std::string& part) {
  size_t at = name.find(part);
  return at == std::string::npos ? name : name.erase(at, part.size());
}

/// A narrow matrix as numbers, [rows, columns].
std::vector<float> numbers_of(const FileTensor& tensor, int64_t rows, int64_t columns, bool transposed) {
  std::vector<float> numbers(size_t(rows * columns));
  Slice slice = whole_matrix("", rows, columns, transposed);
  read_slice(tensor, slice, DType::f32, reinterpret_cast<std::byte*>(numbers.data()));
  return numbers;
}

/// FileTensor::change of a matrix.
struct Change {
  int64_t rank;
  float scale;
  std::vector<float> down, up, magnitude;

  explicit Change(const AdaptedMatrix& m)
      : rank(m.rank),
        scale(float(m.scale)),
        down(numbers_of(*m.down, m.rank, m.in, !m.linear)),
        up(numbers_of(*m.up, m.out, m.rank, !m.linear)) {
    if (m.magnitude) magnitude = numbers_of(*m.magnitude, m.out, 1, false);
  }

  void operator()(int64_t row, std::span<float> numbers) const {
    for (int64_t k = 0; k < rank; ++k) {
      float factor = scale * up[size_t(row * rank + k)];
      const float* from = down.data() + k * int64_t(numbers.size());
      for (size_t i = 0; i < numbers.size(); ++i) numbers[i] += factor * from[i];
    }
    if (magnitude.empty()) return;
    double squares = 0;
    for (float x : numbers) squares += double(x) * double(x);
    auto factor = float(double(magnitude[size_t(row)]) / std::sqrt(squares));
    for (float& x : numbers) x *= factor;
  }
};

std::string file_of(const std::string& directory) {
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"})
    if (fs::path file = fs::path(directory) / name; fs::exists(file)) return file.string();
  throw Error(text(directory, ": neither adapter_model.safetensors nor adapter_model.bin is there"));
}

std::string config_of(const std::string& directory) {
  fs::path file = fs::path(directory) / "adapter_config.json";
  require(fs::exists(file), directory, ": no adapter_config.json; --adapter names a directory that PEFT saved");
  return file.string();
}

void require_shape(const FileTensor& tensor, std::vector<int64_t> shape, bool transposed, const std::string& why) {
  if (transposed) std::reverse(shape.begin(), shape.end());
  std::vector<int64_t> found = tensor.shape;
  if (shape.size() == 1) found.erase(std::remove(found.begin(), found.end(), 1), found.end());  // [out, 1] will do
  require(found == shape, tensor.file, ": tensor \"", tensor.name, "\" is ", shape_text(tensor.shape), "; ", why,
          " needs ", shape_text(shape));
  require(tensor.elements() && tensor.elements()->value, tensor.file, ": tensor \"", tensor.name, "\" has type ",
          tensor.type, "; an adapter needs F32, BF16, F16 or another floating type");
}

/// What one of the adapter's tensors is for: a part of a LoRA, or in place of a whole tensor.
struct Place {
  const Ending* ending;      ///< null: a whole tensor
  std::string theirs, ours;  ///< the matrix without ".weight", or the tensor
};

Place place_of(const std::string& name, const Base& base, const std::string& path, const ModelConfig& config) {
  const std::string what = text(path, ": tensor \"", name, '"');
  require(name.starts_with(kBegins), what, " is none of a PEFT adapter, whose names begin with ", kBegins);
  std::string theirs = without(without(name.substr(std::string(kBegins).size()), ".modules_to_save"), ".base_layer");
  const Ending* ending = ending_of(theirs);
  if (ending) theirs.resize(theirs.size() - std::string(ending->text).size());
  std::string ours = base.ours(theirs, ending ? ".weight" : "");
  require(!ours.empty(), what, " has no place: a model of the family ", config.model_type, " has no ", theirs,
          "; is this its base model?");
  const std::string module = ending ? ours : ours.substr(0, ours.rfind('.'));
  const bool table = base.tables.contains(module);
  require(!ending || (ending->linear ? base.linears.contains(module) : table), what, ": ", ours, " is no ",
          !ending || ending->linear ? "linear layer" : "table of tokens", " here");
  require(!table || !config.tie_word_embeddings, what,
          " changes the table that is the model's head too; lathe does not part them");
  return {ending, theirs, ours};
}

/// Matrices with all their parts, each of the right shape.
void check(AdaptedMatrix& m, const Base& base, const LoraConfig& config, const std::string& path,
           const std::string& theirs) {
  require(m.down && m.up, path, ": of the two matrices of ", m.name, " one is missing");
  require(bool(m.magnitude) == config.use_dora(), path, ": use_dora is ", config.use_dora() ? "true" : "false",
          " in adapter_config.json, but of ", m.name, " there is ", m.magnitude ? "a" : "no", " magnitude");
  require(config.targets(theirs), path, ": there are tensors of ", theirs,
          ", but target_modules of adapter_config.json do not name it");
  const Slice& whole = base.tensors.at(m.name + ".weight");
  m.out = whole.whole_rows;
  m.in = whole.whole_columns;
  m.rank = config.rank_of(theirs);
  m.scale = config.scale_of(theirs);
  const std::string why = text("a rank of ", m.rank, " beside ", m.name, " [", m.out, ", ", m.in, "] in ",
                               m.linear ? "a layer" : "a table");
  require_shape(*m.down, {m.rank, m.in}, !m.linear, why);
  require_shape(*m.up, {m.out, m.rank}, !m.linear, why);
  if (m.magnitude) require_shape(*m.magnitude, {m.out}, false, why);
}

}  // namespace

PeftAdapter::PeftAdapter(const std::string& directory, const ModelConfig& base)
    : path_(directory),
      config_(config_of(directory)),
      tensors_(TensorFiles::of_file(file_of(directory))),
      prefix_(family_named(base.model_type).tensor_prefix) {
  read_tensors(base);
}

void PeftAdapter::read_tensors(const ModelConfig& config) {
  const Base base(config);
  std::map<std::string, AdaptedMatrix> matrices;  // by their own names
  bool shortened = false;                         // their names lack the family's prefix
  for (const std::string& name : tensors_.names()) {
    const Place place = place_of(name, base, tensors_.path(), config);
    shortened = shortened || place.ours.size() > place.theirs.size();
    if (!place.ending) {
      replaced_.emplace_back(place.ours, tensors_.find(name));
      continue;
    }
    AdaptedMatrix& matrix = matrices[place.theirs];
    matrix.name = place.ours;
    matrix.linear = place.ending->linear;
    matrix.*place.ending->place = tensors_.find(name);
  }
  for (auto& [theirs, matrix] : matrices) {
    check(matrix, base, config_, tensors_.path(), theirs);
    matrices_.push_back(matrix);
  }
  require(!matrices_.empty(), tensors_.path(), ": holds no LoRA");
  if (!config_.says_targets()) return;
  for (const std::string& linear : base.linears) {
    if (shortened && !linear.starts_with(base.prefix)) continue;  // of a head, which the adapter's model had not
    std::string theirs = shortened ? linear.substr(base.prefix.size()) : linear;
    require(!config_.targets(theirs) || matrices.contains(theirs), tensors_.path(), ": no tensors of ", theirs,
            ", which target_modules of adapter_config.json name");
  }
}

void PeftAdapter::replace_tensors(TensorFiles& files) const {
  for (const auto& [name, tensor] : replaced_) files.put(name, *tensor);
}

void PeftAdapter::change(TensorFiles& files, const AdaptedMatrix& matrix) const {
  const std::string name = matrix.name + ".weight";
  const FileTensor* base = files.find(name, prefix_);
  require(base != nullptr, files.path(), ": no tensor \"", name, "\"; the model needs it");
  FileTensor changed = *base;
  changed.change = Change(matrix);
  files.put(name, std::move(changed));
}

void PeftAdapter::put_into(TensorFiles& files) const {
  replace_tensors(files);
  for (const AdaptedMatrix& matrix : matrices_) {
    if (!works_beside(matrix)) {
      change(files, matrix);
      continue;
    }
    files.put(matrix.name + ".lora_A.weight", *matrix.down);
    files.put(matrix.name + ".lora_B.weight", *matrix.up);
  }
}

void PeftAdapter::attach_to(Model& model) const {
  Inventory inventory = model.inventory();
  std::map<std::string, Linear*> layers;
  for (Linear* linear : inventory.linears)
    for (const Section& section : linear->sections()) layers[section.name] = linear;
  for (const AdaptedMatrix& matrix : matrices_)
    if (auto found = layers.find(matrix.name); works_beside(matrix) && found != layers.end())
      add_lora(*found->second, {.name = matrix.name, .rank = matrix.rank, .scale = float(matrix.scale)});
}

void PeftAdapter::merge_into(TensorFiles& files) const {
  replace_tensors(files);
  for (const AdaptedMatrix& matrix : matrices_) change(files, matrix);
}

std::string PeftAdapter::description() const {
  int64_t beside = std::count_if(matrices_.begin(), matrices_.end(), [&](const auto& m) { return works_beside(m); });
  auto [least, most] = std::minmax_element(matrices_.begin(), matrices_.end(),
                                           [](const auto& a, const auto& b) { return a.rank < b.rank; });
  std::string ranks = std::to_string(least->rank);
  if (most->rank != least->rank) ranks += text(" to ", most->rank);
  std::string line = text(path_, ": LoRA of rank ", ranks, " beside ", beside, " matrices");
  if (int64_t merged = int64_t(matrices_.size()) - beside; merged > 0)
    line += text(", merged into ", merged, " that cannot have it beside them");
  if (!replaced_.empty()) line += text(", ", replaced_.size(), " tensors replaced");
  return line;
}

}  // namespace lathe
