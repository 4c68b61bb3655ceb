#include "lathe/files/tensor_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "lathe/base/threads.h"
#include "tests/support/ranks.h"
#include "tests/support/training_step.h"
#include "tests/support/whole_pass.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kAnySize = int64_t{1} << 40;

ModelConfig narrow_config(const std::string& model_type) {
  ModelConfig config = small_config(model_type);
  config.intermediate_size = 24;
  return config;
}

/// Saves models of either family and loads them again.
class SavedTensors : public testing::TestWithParam<const char*> {
 protected:
  SavedTensors() {
    set_threads(1);  // at this size, threads would wait for each other longer than they work
    fs::create_directories(folder_);
  }
  ~SavedTensors() override { fs::remove_all(folder_); }

  std::unique_ptr<Model> model_of_seed(uint64_t seed) const {
    auto model = make_model(narrow_config(GetParam()));
    fill(*model, seed);
    return model;
  }
  static void fill(Model& model, uint64_t seed) {
    for (Parameter* parameter : model.inventory().parameters) {
      parameter->materialize(DType::f32);
      parameter->init = Init::normal(1);  // biases and norms too
      initialize(*parameter, Random(seed));
    }
  }
  static NamedTensors kept_of(Model& model) {
    NamedTensors named;
    put_kept(model.inventory(), named);
    return named;
  }
  void save(Model& model, DType dtype, int64_t max_file_bytes = kAnySize) const {
    save_tensors(folder_.string(), tensor_sources(model.inventory(), dtype), max_file_bytes);
  }
  void load(Model& model) const {
    load_tensors(model.inventory(), TensorFiles(folder_.string()), family_named(GetParam()).tensor_prefix);
  }
  int files() const { return int(std::distance(fs::directory_iterator(folder_), fs::directory_iterator())); }

  fs::path folder_ = fs::temp_directory_path() / text("lathe_tensor_files_", ::getpid());
};
INSTANTIATE_TEST_SUITE_P(Families, SavedTensors, testing::Values("gpt2", "llama"),
                         [](const auto& family) { return std::string(family.param); });

TEST_P(SavedTensors, ComeBackWithTheSameBits) {
  Runtime runtime({}, 1 << 22);
  auto saved = model_of_seed(1), loaded = model_of_seed(2);
  save(*saved, DType::f32);
  EXPECT_EQ(files(), 1);
  load(*loaded);
  EXPECT_EQ(kept_of(*loaded), kept_of(*saved));
}

TEST_P(SavedTensors, ComeBackFromSeveralFiles) {
  Runtime runtime({}, 1 << 22);
  auto saved = model_of_seed(1), loaded = model_of_seed(2);
  save(*saved, DType::f32, 6000);
  EXPECT_GT(files(), 3);
  EXPECT_TRUE(fs::exists(folder_ / "model.safetensors.index.json"));
  for (const auto& file : fs::directory_iterator(folder_))
    EXPECT_TRUE(file.path().extension() == ".json" || file.file_size() <= 6000) << file.path();
  load(*loaded);
  EXPECT_EQ(kept_of(*loaded), kept_of(*saved));
}

TEST_P(SavedTensors, AreRoundedToTheTypeOfTheFile) {
  Runtime runtime({}, 1 << 22);
  auto saved = model_of_seed(1), loaded = model_of_seed(2);
  save(*saved, DType::bf16);
  load(*loaded);
  NamedTensors expected = kept_of(*saved);
  for (auto& [name, values] : expected)
    for (float& value : values) value = float(BF16(value));
  EXPECT_EQ(kept_of(*loaded), expected);
}

TEST_P(SavedTensors, GiveEachRankItsPart) {
  NamedTensors whole, together;
  {
    Runtime runtime({}, 1 << 22);
    auto saved = model_of_seed(1);
    save(*saved, DType::f32);
    whole = kept_of(*saved);
  }
  std::mutex mutex;
  on_ranks(2, [&](Communicator& ranks) {
    Mesh mesh = tensor_mesh(ranks);
    auto part = make_model(narrow_config(GetParam()), mesh);
    fill(*part, 2);
    load(*part);
    std::lock_guard lock(mutex);
    put_kept(part->inventory(), together);
  });
  EXPECT_EQ(together, whole);
}

TEST_P(SavedTensors, LeaveOutWhatOtherRanksHavePartsOf) {
  on_ranks(2, [&](Communicator& ranks) {
    Mesh mesh = tensor_mesh(ranks);
    auto part = make_model(narrow_config(GetParam()), mesh);
    fill(*part, 1);
    Inventory inventory = part->inventory();
    std::vector<std::string> names, whole;
    for (const TensorSource& source : tensor_sources(inventory, DType::f32)) names.push_back(source.name);
    for (const Stored* stored : inventory.stored) {
      const Slice& first = stored->slices.front();
      if (first.rows == first.whole_rows && first.columns == first.whole_columns) whole.push_back(first.name);
    }
    EXPECT_EQ(names, whole);
    EXPECT_GT(names.size(), 5u);
  });
}

TEST_P(SavedTensors, AreFoundUnderNamesWithoutThePrefix) {
  Runtime runtime({}, 1 << 22);
  auto saved = model_of_seed(1), loaded = model_of_seed(2);
  std::vector<TensorSource> sources = tensor_sources(saved->inventory(), DType::f32);
  const std::string& prefix = family_named(GetParam()).tensor_prefix;
  for (TensorSource& source : sources)
    if (source.name.starts_with(prefix)) source.name.erase(0, prefix.size());
  save_tensors(folder_.string(), sources, kAnySize);
  load(*loaded);
  EXPECT_EQ(kept_of(*loaded), kept_of(*saved));
}

TEST_P(SavedTensors, OfNormsAreFoundUnderTheNamesOfOldBertFiles) {
  auto zeros = [](const std::function<void(Bytes)>& write) { write(std::vector<std::byte>(8)); };
  const TensorSource tensors[] = {{"bert.embeddings.LayerNorm.gamma", DType::f32, {2}, zeros},
                                  {"bert.embeddings.LayerNorm.beta", DType::f32, {2}, zeros}};
  save_tensors(folder_.string(), tensors, kAnySize);
  TensorFiles files(folder_.string());
  EXPECT_NE(files.find("bert.embeddings.LayerNorm.weight", "bert."), nullptr);
  EXPECT_NE(files.find("embeddings.LayerNorm.bias", "bert."), nullptr);
  EXPECT_EQ(files.find("bert.embeddings.LayerNorm.scale", "bert."), nullptr);
}

TEST_P(SavedTensors, MayBeginAtAnyByte) {
  Runtime runtime({}, 1 << 22);
  auto saved = model_of_seed(1), loaded = model_of_seed(2);
  save(*saved, DType::f32);
  std::string path = (folder_ / "model.safetensors").string(), bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  bytes.insert(size_t(8 + length), " ");
  ++length;
  std::memcpy(bytes.data(), &length, 8);
  std::ofstream(path, std::ios::binary) << bytes;
  load(*loaded);
  EXPECT_EQ(kept_of(*loaded), kept_of(*saved));
}

}  // namespace
}  // namespace lathe
