#include "lathe/files/pytorch_file.h"

#include <algorithm>
#include <set>

#include "lathe/base/error.h"
#include "lathe/files/pickle.h"
#include "lathe/files/zip_archive.h"

namespace lathe {
namespace {

constexpr std::string_view kPickle = "/data.pkl";

const ElementType* type_of_storage(std::string_view storage) {
  constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"FloatStorage", "F32"}, {"HalfStorage", "F16"}, {"BFloat16Storage", "BF16"}, {"DoubleStorage", "F64"},
      {"LongStorage", "I64"},  {"IntStorage", "I32"},  {"ShortStorage", "I16"},     {"CharStorage", "I8"},
      {"ByteStorage", "U8"},   {"BoolStorage", "BOOL"}};
  for (auto& [name, type] : names)
    if (name == storage) return find_element_type(type);
  return nullptr;
}

/// The elements of a contiguous tensor; -1 where it is none, or too large.
int64_t contiguous_elements(const PickledTensor& tensor) {
  int64_t elements = 1;
  if (tensor.shape.size() != tensor.strides.size()) return -1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] < 0 || (tensor.shape[i] > 1 && tensor.strides[i] != elements)) return -1;
    if (__builtin_mul_overflow(elements, tensor.shape[i], &elements)) return -1;
  }
  return elements;
}

Bytes bytes_of_tensor(const PickledTensor& tensor, const ElementType& type, Bytes storage, const std::string& place) {
  int64_t elements = contiguous_elements(tensor), available = int64_t(storage.size()) / type.bytes;
  require(elements >= 0, place,
          " is not contiguous, or larger than any tensor; save what contiguous() gives in its place");
  require(tensor.first >= 0 && tensor.first <= available && elements <= available - tensor.first, place, " has ",
          elements, " elements from ", tensor.first, " on, but its storage \"", tensor.storage, "\" holds ", available);
  return storage.subspan(size_t(tensor.first * type.bytes), size_t(elements * type.bytes));
}

/// The folder in the archive that holds the pickle.
std::string folder_of(const ZipArchive& archive, const std::string& path) {
  for (const auto& [name, bytes] : archive.files())
    if (name.ends_with(kPickle)) return name.substr(0, name.size() - kPickle.size());
  throw Error(text(path, ": a ZIP archive without data.pkl, so no model that PyTorch saved"));
}

}  // namespace

std::vector<PyTorchTensor> parse_pytorch(Bytes file, const std::string& path) {
  require(text_of(file).starts_with("PK"), path,
          ": no file that torch.save() writes since PyTorch 1.6; open it there and save it again, best as safetensors");
  ZipArchive archive(file, path);
  const std::string folder = folder_of(archive, path);
  const Bytes* order = archive.find(folder + "/byteorder");
  require(!order || text_of(*order) == "little", path, ": a big-endian file, which is not read");
  std::vector<PyTorchTensor> tensors;
  std::set<std::string> names;
  for (const PickledTensor& pickled : read_pickled_tensors(*archive.find(folder + std::string(kPickle)), path)) {
    const std::string place = text(path, ": tensor \"", pickled.name, "\"");
    const ElementType* type = type_of_storage(pickled.storage_type);
    require(type != nullptr, place, " has a ", pickled.storage_type, ", which is not read");
    const Bytes* storage = archive.find(folder + "/data/" + std::string(pickled.storage));
    require(storage != nullptr, place, ": its storage \"", pickled.storage, "\" is not in the file");
    require(names.insert(pickled.name).second, place, " is there twice");
    tensors.push_back({pickled.name, type, pickled.shape, bytes_of_tensor(pickled, *type, *storage, place)});
  }
  return tensors;
}

}  // namespace lathe
