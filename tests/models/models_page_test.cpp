// The table of docs/models.md is what is measured here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lathe/base/durable_file.h"
#include "lathe/base/threads.h"
#include "lathe/files/model_config.h"
#include "lathe/files/tensor_files.h"
#include "lathe/models/family.h"
#include "tests/models/fixture_support.h"
#include "tests/support/checkout.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/training_step.h"

namespace lathe {
namespace {

using test::Fixture;

/// The power of ten that bounds a difference; none below 1e-5, where rounding differs between processors.
std::string bound(double difference) {
  if (!std::isfinite(difference)) return "no";
  return text("1e", std::lround(std::ceil(std::log10(std::max(difference, 1e-5)) - 1e-9)));
}

NamedTensors tensors_of(Model& model) {
  NamedTensors named;
  put_kept(model.inventory(), named);
  return named;
}

/// Whether a saved model opens again with the same config and tensors.
bool survives_saving(const Fixture& fixture) {
  TemporaryDirectory folder;
  auto model = trained_model(fixture);
  std::string json = model_config_json(fixture.config, DType::f32);
  replace_file(folder.path("config.json"), json);
  save_tensors(folder.path(), tensor_sources(model->inventory(), DType::f32), int64_t{1} << 30);
  Fixture again = fixture;
  again.config = read_model_config(folder.path());
  again.weights = folder.path();
  return model_config_json(again.config, DType::f32) == json && tensors_of(*trained_model(again)) == tensors_of(*model);
}

std::string yes(bool holds) { return holds ? "yes" : "no"; }

std::string row_of(const std::string& kind) {
  Fixture fixture(kind);
  test::Fidelity measured = measured_fidelity(fixture);
  std::string generated = fixture.greedy.empty() ? "–" : yes(greedy_tokens(fixture) == fixture.greedy);
  return text("| `", fixture.config.model_type, "` | ", kind, " | ", yes(std::isfinite(measured.logits)), " | ",
              yes(measured.gradients <= 1e-3), " | ", generated, " | ", yes(survives_saving(fixture)), " | ",
              bound(measured.logits), " | ", bound(measured.gradients), " |");
}

TEST(ModelsPage, HasTheTableThatIsMeasured) {
  set_threads(1);
  Runtime runtime({}, 1 << 24);
  std::string page = content_of((checkout() / "docs/models.md").string());
  for (const std::string& kind : test::fixture_kinds()) EXPECT_THAT(page, testing::HasSubstr(row_of(kind) + "\n"));
}

TEST(ModelsPage, NamesEveryFamily) {
  std::string page = content_of((checkout() / "docs/models.md").string());
  for (const std::string& family : family_names()) EXPECT_THAT(page, testing::HasSubstr("| `" + family + "` |"));
}

}  // namespace
}  // namespace lathe
