#include "lathe/base/base64.h"

#include <gtest/gtest.h>

namespace lathe {
namespace {

TEST(Base64, GivesBytesBack) {
  std::string bytes;
  for (int byte = 0; byte < 300; ++byte) {
    EXPECT_EQ(base64_decoded(base64_encoded(bytes)), bytes);
    bytes += static_cast<char>(byte * 7);
  }
}

TEST(Base64, MayLackItsPadding) {
  EXPECT_EQ(base64_encoded("ab"), "YWI=");
  EXPECT_EQ(base64_decoded("YWI="), "ab");
  EXPECT_EQ(base64_decoded("YWI"), "ab");
}

TEST(Base64, IsRefusedWhenItHoldsOtherSigns) {
  EXPECT_EQ(base64_decoded("Y"), std::nullopt);
  EXPECT_EQ(base64_decoded("YW I"), std::nullopt);
}

}  // namespace
}  // namespace lathe
