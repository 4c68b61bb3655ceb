#include "lathe/ops/matmul_choices.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "lathe/base/error.h"
#include "tests/support/temporary_directory.h"

namespace lathe {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Each test has devices of its own: what a program knows of one it does not forget.
class ProductChoices : public testing::Test {
 protected:
  void SetUp() override { setenv("LATHE_CACHE", cache.path().c_str(), 1); }
  void TearDown() override { unsetenv("LATHE_CACHE"); }
  TemporaryDirectory cache;
};

TEST_F(ProductChoices, AreKeptInAFileOfTheDevice) {
  {
    MeasureProducts measuring;
    EXPECT_TRUE(MeasureProducts::active());
    choose_algorithm("card A, library 1", "2 x 3 x 4 f32", "00ff", 12.34);
  }
  EXPECT_FALSE(MeasureProducts::active());
  std::string file = content_of(cache.path("products-card-A--library-1.txt"));
  EXPECT_THAT(file, HasSubstr("device\tcard A, library 1\n2 x 3 x 4 f32\t00ff\t12.3\n"));
}

TEST_F(ProductChoices, AreFoundInTheFile) {
  cache.file("products-card-B.txt", "# a comment\ndevice\tcard B\n2 x 3 x 4 f32\t00ee\t1.0\n");
  EXPECT_EQ(chosen_algorithm("card B", "2 x 3 x 4 f32"), "00ee");
  EXPECT_EQ(chosen_algorithm("card B", "5 x 3 x 4 f32"), "");
}

TEST_F(ProductChoices, JoinWhatAnotherProgramWroteMeanwhile) {
  MeasureProducts* measuring = new MeasureProducts;
  choose_algorithm("card C", "ours", "01", 1);
  cache.file("products-card-C.txt", "device\tcard C\ntheirs\t02\t1.0\n");
  delete measuring;
  EXPECT_THAT(content_of(cache.path("products-card-C.txt")), HasSubstr("ours\t01\t1.0\ntheirs\t02\t1.0\n"));
}

TEST_F(ProductChoices, OfASavedRunComeFirst) {
  cache.file("products-card-D.txt", "device\tcard D\np\tcached\t1.0\nq\tcached\t1.0\n");
  use_product_choices("device\tcard D\np\tsaved\t1.0\n");
  EXPECT_EQ(chosen_algorithm("card D", "p"), "saved");
  EXPECT_EQ(chosen_algorithm("card D", "q"), "cached");
}

TEST_F(ProductChoices, AreListedOnceUsedAndReadBack) {
  choose_algorithm("card E", "suggested", "03", 0);
  std::string used = used_product_choices();
  EXPECT_THAT(used, HasSubstr("device\tcard E\nsuggested\t03\t-\n"));
  EXPECT_NO_THROW(use_product_choices(used));
}

TEST_F(ProductChoices, ThatWereNotMeasuredAreNotCached) {
  {
    MeasureProducts measuring;
    choose_algorithm("card F", "suggested", "03", 0);
    choose_algorithm("card F", "measured", "04", 5);
  }
  EXPECT_THAT(content_of(cache.path("products-card-F.txt")), Not(HasSubstr("suggested")));
}

TEST_F(ProductChoices, GoOnWithoutAPlaceToKeepThem) {
  setenv("LATHE_CACHE", "/dev/null/nowhere", 1);
  {
    MeasureProducts measuring;
    choose_algorithm("card G", "p", "05", 1);
  }
  EXPECT_EQ(chosen_algorithm("card G", "p"), "05");
}

TEST_F(ProductChoices, RefuseATextOfSomethingElse) {
  EXPECT_THROW(use_product_choices("{\"loss\": 3}\n"), Error);
  cache.file("products-card-H.txt", "damaged");
  EXPECT_EQ(chosen_algorithm("card H", "p"), "");
}

}  // namespace
}  // namespace lathe
