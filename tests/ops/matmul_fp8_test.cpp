#include "lathe/ops/matmul_fp8.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lathe/base/error.h"
#include "lathe/tensor/random.h"
#include "lathe/tensor/tape.h"
#include "lathe/tensor/transfer.h"

namespace lathe {
namespace {

constexpr int64_t kMemory = int64_t{1} << 28;

template <class T>
Tensor uploaded(Shape shape, const std::vector<T>& values) {
  Tensor tensor = Tensor::empty(shape, dtype_of<T>());
  upload(std::span<const T>(values), tensor);
  return tensor;
}

template <class T>
std::vector<T> values_in(const Tensor& tensor) {
  std::vector<T> values(size_t(tensor.elements()));
  download(tensor, std::as_writable_bytes(std::span(values)));
  return values;
}

template <class T>
Tensor noise(Shape shape, uint64_t seed, float scale = 1) {
  std::vector<T> values;
  for (int64_t i = 0; i < shape.elements(); ++i) values.push_back(T(scale * Random(seed).normal(uint64_t(i))));
  return uploaded(shape, values);
}

struct Codes {
  std::vector<uint8_t> along, across;
  std::vector<float> scale;
  bool operator==(const Codes&) const = default;
};

Codes codes_of(const Tensor& x, Fp8 format) {
  Tensor scale = Tensor::empty({kFp8Factor + 1});
  int64_t rows = x.shape()[0], columns = x.shape()[1];
  Tensor along = Tensor::empty({rows, columns}, DType::u8), across = Tensor::empty({columns, rows}, DType::u8);
  fp8_scale_kernel({}, x, format, scale);
  fp8_quantize_kernel({}, x, format, scale, along, across);
  std::vector<float> scales = values_in<float>(scale);
  return {values_in<uint8_t>(along), values_in<uint8_t>(across), {scales[0], scales[kFp8Factor]}};
}

TEST(Fp8, RoundsToTheNearestCodeAndTiesToEven) {
  Runtime runtime({}, kMemory);
  std::vector<BF16> values(256, BF16(0.0f));
  const float some[] = {448, 1, -1, 0.5f, 0x1p-9f, 0x1p-10f, 17, 19, 500};
  for (size_t i = 0; i + 1 < std::size(some); ++i) values[i] = BF16(some[i]);
  Codes codes = codes_of(uploaded({16, 16}, values), Fp8::e4m3);
  EXPECT_EQ(codes.scale, (std::vector<float>{448, 1}));
  EXPECT_EQ(std::vector<uint8_t>(codes.along.begin(), codes.along.begin() + 9),
            (std::vector<uint8_t>{0x7e, 0x38, 0xb8, 0x30, 0x01, 0x00, 0x58, 0x5a, 0x00}));
  EXPECT_EQ(codes.across[16], 0x38);
  values[0] = BF16(57344.0f);
  EXPECT_EQ(codes_of(uploaded({16, 16}, values), Fp8::e5m2).along[1], 0x3c);
}

TEST(Fp8, KeepsZerosAndShowsNan) {
  Runtime runtime({}, kMemory);
  std::vector<BF16> values(256, BF16(0.0f));
  EXPECT_EQ(codes_of(uploaded({16, 16}, values), Fp8::e4m3).scale, (std::vector<float>{0, 1}));
  values[77] = BF16(NAN);
  EXPECT_TRUE(std::isnan(codes_of(uploaded({16, 16}, values), Fp8::e4m3).scale[1]));
}

struct Sink : GradientSink {
  void receive(const Tensor& gradient) override { total = gradient; }
  Tensor total;
};

struct Results {
  std::vector<float> y, dx, dweight, dbias;
};

std::vector<float> wide(const Tensor& tensor) {
  std::vector<BF16> values = values_in<BF16>(tensor);
  return {values.begin(), values.end()};
}

using Multiply = Tensor (*)(const Tensor&, const Tensor&, const Epilogue&);

/// y and gradients of [48, 64] times a weight [80, 64], with bias and residual.
Results results_of(Device device, Multiply multiply) {
  Runtime runtime(device, kMemory);
  Tensor x = noise<BF16>({48, 64}, 1), weight = noise<BF16>({80, 64}, 2, 0.02f);
  Tensor bias = noise<float>({80}, 3), residual = noise<BF16>({48, 80}, 4), dy = noise<BF16>({48, 80}, 5, 1e-4f);
  Sink dx, dweight, dbias;
  x.make_leaf(&dx), weight.make_leaf(&dweight), bias.make_leaf(&dbias);
  Tape tape;
  Tensor y;
  {
    Recording on(&tape);
    y = multiply(x, weight, {&bias, &residual});
  }
  tape.backward(y, dy);
  return {wide(y), wide(dx.total), values_in<float>(dweight.total), values_in<float>(dbias.total)};
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double sum = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(a[i] - b[i], 2), size += std::pow(b[i], 2);
  return std::sqrt(sum / size);
}

/// A code of E4M3 is off by up to 1/16 of its value, one of E5M2 by 1/8; sums of many are off by their mean.
TEST(Fp8, GivesProductsAndGradientsNearThoseOfBf16) {
  Results fp8 = results_of({}, matmul_fp8), bf16 = results_of({}, matmul);
  EXPECT_LT(difference(fp8.y, bf16.y), 0.02);  // most of y is bias and residual
  EXPECT_LT(difference(fp8.dx, bf16.dx), 0.08);
  EXPECT_LT(difference(fp8.dweight, bf16.dweight), 0.08);
  EXPECT_EQ(fp8.dbias, bf16.dbias);
}

TEST(Fp8, TakesOnMetaTheBytesOfARealProduct) {
  auto use = [](Device device) {
    Runtime runtime(device, kMemory);
    Sink dx, dweight;
    Tensor x = Tensor::empty({32, 64}, DType::bf16), weight = Tensor::empty({80, 64}, DType::bf16);
    x.make_leaf(&dx), weight.make_leaf(&dweight);
    Tape tape;
    Tensor y;
    {
      Recording on(&tape);
      y = matmul_fp8(x, weight);
    }
    tape.backward(y, Tensor::empty_like(y));
    return std::pair(runtime.arena.use().peak, runtime.totals);
  };
  EXPECT_EQ(use({}), use(Device{}.as_meta()));
}

TEST(Fp8, RefusesExtentsThatTensorCoresCannotRead) {
  Runtime runtime({}, kMemory);
  auto times = [](int64_t rows, int64_t out, int64_t in, DType dtype) {
    return matmul_fp8(Tensor::empty({rows, in}, dtype), Tensor::empty({out, in}, dtype));
  };
  EXPECT_THROW(times(16, 24, 16, DType::bf16), Error);
  EXPECT_THROW(times(7, 32, 16, DType::bf16), Error);
  EXPECT_THROW(times(16, 32, 16, DType::f32), Error);
}

class GpuFp8 : public testing::Test {
 protected:
  void SetUp() override {
    if (accelerators().gpus.empty()) GTEST_SKIP() << accelerators().why_none;
  }
};

TEST_F(GpuFp8, HasTheCodesOfTheCpu) {
  for (Shape shape : {Shape{16, 16}, Shape{128, 128}, Shape{144, 80}, Shape{304, 1040}})
    for (Fp8 format : {Fp8::e4m3, Fp8::e5m2}) {
      auto on = [&](Backend backend) {
        Runtime runtime({backend}, kMemory);
        return codes_of(noise<BF16>(shape, 1, 3), format);
      };
      Codes cpu = on(Backend::cpu), gpu = on(Backend::cuda);
      EXPECT_EQ(gpu.scale, cpu.scale) << shape;
      EXPECT_EQ(gpu.along, cpu.along) << shape;
      EXPECT_EQ(gpu.across, cpu.across) << shape;
    }
}

TEST_F(GpuFp8, MultipliesAsTheCpu) {
  Results cpu = results_of({}, matmul_fp8), gpu = results_of({Backend::cuda}, matmul_fp8);
  EXPECT_LT(difference(gpu.y, cpu.y), 5e-3);
  EXPECT_LT(difference(gpu.dx, cpu.dx), 5e-3);
  EXPECT_LT(difference(gpu.dweight, cpu.dweight), 2e-3);
}

}  // namespace
}  // namespace lathe
