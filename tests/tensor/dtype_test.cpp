#include "lathe/tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "lathe/base/error.h"
#include "lathe/tensor/shape.h"

namespace lathe {
namespace {

template <class Half>
class Halves : public testing::Test {};
using HalfTypes = testing::Types<BF16, F16>;
TYPED_TEST_SUITE(Halves, HalfTypes);

template <class Half>
Half of_bits(uint32_t bits) {
  Half half;
  half.bits = uint16_t(bits);
  return half;
}

TYPED_TEST(Halves, ComeBackFromFloatWithTheSameBits) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    TypeParam half = of_bits<TypeParam>(bits);
    float value = half;
    bool same = TypeParam(value).bits == bits, nan = std::isnan(value) && std::isnan(float(TypeParam(value)));
    ASSERT_TRUE(same || nan) << bits;
  }
}

/// Largest finite number, as bits.
template <class Half>
constexpr uint32_t kLargest = std::is_same_v<Half, BF16> ? 0x7f7f : 0x7bff;

TYPED_TEST(Halves, RoundToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < kLargest<TypeParam>; ++bits) {
    float low = of_bits<TypeParam>(bits), high = of_bits<TypeParam>(bits + 1);
    float middle = float((double(low) + double(high)) / 2);  // has one bit more than a half: exact
    uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(TypeParam(middle).bits, even) << bits;
    ASSERT_EQ(TypeParam(-middle).bits, even | 0x8000) << bits;
    ASSERT_EQ(TypeParam(std::nextafter(middle, high)).bits, bits + 1);
    ASSERT_EQ(TypeParam(std::nextafter(middle, low)).bits, bits);
  }
}

TYPED_TEST(Halves, OverflowToInfinity) {
  float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(float(TypeParam(std::numeric_limits<float>::max())), infinity);
  EXPECT_EQ(float(TypeParam(-std::numeric_limits<float>::max())), -infinity);
  EXPECT_EQ(float(TypeParam(infinity)), infinity);
  EXPECT_TRUE(std::signbit(float(TypeParam(-0.0f))));
}

TEST(F16, OverflowsHalfAStepAboveItsLargest) {
  EXPECT_EQ(float(F16(65519.99f)), 65504);
  EXPECT_EQ(float(F16(65520.0f)), std::numeric_limits<float>::infinity());
}

TEST(BF16, KeepsNansWhoseSmallBitsAreCutOff) {
  EXPECT_TRUE(std::isnan(float(BF16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::isnan(float(BF16(std::bit_cast<float>(0xffffffffu)))));
}

TEST(DType, KnowsItsSizesAndNames) {
  EXPECT_EQ(size_of(dtype_of<float>()), 4);
  EXPECT_EQ(size_of(dtype_of<BF16>()), 2);
  EXPECT_EQ(size_of(dtype_of<F16>()), 2);
  EXPECT_EQ(size_of(dtype_of<int8_t>()), 1);
  EXPECT_EQ(size_of(dtype_of<uint8_t>()), 1);
  EXPECT_EQ(size_of(dtype_of<int32_t>()), 4);
  EXPECT_EQ(size_of(dtype_of<int64_t>()), 8);
  EXPECT_EQ(size_of(dtype_of<uint16_t>()), 2);
  EXPECT_STREQ(name_of(DType::bf16), "bf16");
  EXPECT_TRUE(is_floating(DType::f16));
  EXPECT_FALSE(is_floating(DType::i64));
}

TEST(DType, VisitsFloatingTypesAlone) {
  for (DType dtype : {DType::f32, DType::bf16, DType::f16})
    EXPECT_EQ(visit_floating(dtype, []<class T>(Element<T>) { return dtype_of<T>(); }), dtype);
  EXPECT_THROW(visit_floating(DType::i32, []<class T>(Element<T>) {}), InternalError);
}

TEST(Shape, CountsRowsColumnsAndElements) {
  Shape cube{2, 3, 4};
  EXPECT_EQ(cube.elements(), 24);
  EXPECT_EQ(cube.rows(), 6);
  EXPECT_EQ(cube.columns(), 4);
  EXPECT_EQ(cube[-1], 4);
  EXPECT_EQ(cube.with_columns(7), (Shape{2, 3, 7}));
  EXPECT_EQ(cube.with_rows(7), (Shape{7, 3, 4}));
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{5}.rows()), 1);
  EXPECT_EQ((Shape{0, 3}.elements()), 0);
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
}

TEST(Shape, RefusesAFifthExtent) { EXPECT_THROW((Shape{1, 2, 3, 4, 5}), Error); }

TEST(Shape, RefusesMoreElementsThanCanBeCounted) {
  int64_t half = int64_t{1} << 32;
  EXPECT_THROW((Shape{half, half}.elements()), Error);
}

}  // namespace
}  // namespace lathe
