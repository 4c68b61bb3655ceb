#include "lathe/base/error.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Error, CarriesTheTextOfItsParts) {
  try {
    require(false, "x [", 3, "] does not fit y [", 4.5, "]");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "x [3] does not fit y [4.5]");
  }
}

TEST(InternalError, NamesFileAndLine) {
  EXPECT_NE(std::string(InternalError("broken").what()).find("error_test.cpp:"), std::string::npos);
}

}  // namespace
}  // namespace lathe
