#include "lathe/train/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "lathe/base/error.h"
#include "tests/train/tiny_run_support.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class ManifestTest : public testing::Test {
 protected:
  ManifestTest() {
    fs::create_directories(path("optimizer"));
    std::ofstream(path("model.safetensors")) << std::string(1000, 'w');
    std::ofstream(path("optimizer/model.safetensors")) << std::string(70, 'm');
    std::ofstream(path("empty")) << "";
    write_manifest(directory_, 7);
  }
  ~ManifestTest() override { fs::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string problem() const {
    try {
      verify_manifest(directory_);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

 private:
  std::string directory_ = testing::TempDir() + "manifest-" + std::to_string(getpid());
};

TEST_F(ManifestTest, HoldsForTheFilesItWasWrittenFor) {
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(read_manifest(fs::path(path("x")).parent_path()).step, 7);
}

TEST_F(ManifestTest, FindsOneFlippedBitInAnyFileAndInItself) {
  for (const char* name : {"model.safetensors", "optimizer/model.safetensors", "manifest.json"})
    for (size_t byte : {size_t{0}, size_t{33}, fs::file_size(path(name)) - 2}) {
      test::flip_bit(path(name), byte, int(byte % 8));
      EXPECT_THAT(problem(), HasSubstr(path(name))) << byte;
      test::flip_bit(path(name), byte, int(byte % 8));
    }
  EXPECT_EQ(problem(), "");
}

TEST_F(ManifestTest, FindsAFileThatIsCutLongerOrGone) {
  std::ofstream(path("empty")) << "x";
  EXPECT_THAT(problem(), HasSubstr("it has 1 bytes but was written with 0"));
  std::ofstream(path("empty")) << "";
  fs::resize_file(path("model.safetensors"), 999);
  EXPECT_THAT(problem(), HasSubstr("it has 999 bytes but was written with 1000"));
  fs::remove(path("model.safetensors"));
  EXPECT_THAT(problem(), HasSubstr("model.safetensors"));
}

TEST_F(ManifestTest, NamesANewerFormat) {
  std::ofstream(path("manifest.json")) << R"({"format": 99, "files": "in another form"})";
  EXPECT_THAT(problem(), AllOf(HasSubstr("manifest.json"), HasSubstr("format 99 is newer than 1")));
}

TEST_F(ManifestTest, RefusesWhatIsNone) {
  for (const std::string& text : {std::string(), std::string("[]"), std::string("{\"format\": \"x\"}"),
                                  std::string(1000000, '['), std::string("{\"format\": 1}")}) {
    std::ofstream(path("manifest.json")) << text;
    EXPECT_THAT(problem(), HasSubstr("manifest.json")) << text.substr(0, 40);
  }
  fs::remove(path("manifest.json"));
  EXPECT_THAT(problem(), HasSubstr("manifest.json"));
}

}  // namespace
}  // namespace lathe
