#include "lathe/plan/kernel_rates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

namespace lathe {
namespace {

constexpr double kUnknownShare = 0.8;  // of the ceiling; most kernels that move memory reach 0.8 to 0.9

/// Softmax takes the same time for each score whatever the head size, so attention's FLOP rate rises with it.
bool depends_on_head_dim(std::string_view kernel) { return kernel.starts_with("attention"); }

double seconds_of(const KernelRate& rate, Work work) {
  double seconds = rate.microseconds * 1e-6;
  if (rate.tflops > 0) seconds += double(work.flops) / (rate.tflops * 1e12);
  if (rate.gigabytes_per_second > 0) seconds += double(work.bytes) / (rate.gigabytes_per_second * 1e9);
  return seconds;
}

/// How unlike two head sizes are; 0 where the kernel has one rate for all.
double distance(const KernelRate& rate, int64_t head_dim) {
  if (rate.head_dim == 0 || head_dim == 0) return 0;
  return std::abs(std::log(double(rate.head_dim) / double(head_dim)));
}

using Rates = std::map<std::string, KernelRate, std::less<>>;

/// The rate of each kernel that is nearest to `shape`.
Rates rates_for(const std::vector<KernelRate>& all, JobShape shape) {
  Rates nearest;
  for (const KernelRate& rate : all) {
    if (rate.dtype != name_of(shape.dtype)) continue;
    auto [found, added] = nearest.try_emplace(rate.kernel, rate);
    if (!added && distance(rate, shape.head_dim) < distance(found->second, shape.head_dim)) found->second = rate;
  }
  return nearest;
}

void scale(Rates& rates, const Ceilings& from, const Ceilings& to) {
  for (auto& [kernel, rate] : rates) {
    rate.tflops *= to.flops_per_second / from.flops_per_second;
    rate.gigabytes_per_second *= to.bytes_per_second / from.bytes_per_second;
  }
}

using Terms = std::array<double, 3>;  // seconds: of a call, of a FLOP, of a byte

Terms quantities(const MeasuredCall& call) { return {1, double(call.work.flops), double(call.work.bytes)}; }

double predicted(const Terms& terms, const MeasuredCall& call) {
  Terms x = quantities(call);
  return terms[0] * x[0] + terms[1] * x[1] + terms[2] * x[2];
}

/// What total time is off, squared; each call as it weighs.
double misfit(const Terms& terms, std::span<const MeasuredCall> calls) {
  double sum = 0;
  for (const MeasuredCall& call : calls) {
    double off = predicted(terms, call) - call.seconds;
    sum += double(call.calls) * off * off / call.seconds;
  }
  return sum;
}

/// Solves a x = b over the terms in `used` by Gaussian elimination; nullopt where they cannot be told apart.
std::optional<Terms> solve(std::array<std::array<double, 4>, 3> rows, const std::array<bool, 3>& used) {
  for (size_t i = 0; i < 3; ++i) {
    if (!used[i]) continue;
    if (rows[i][i] < 1e-9) return std::nullopt;
    for (size_t j = 0; j < 3; ++j) {
      if (j == i || !used[j]) continue;
      double factor = rows[j][i] / rows[i][i];
      for (size_t k = 0; k < 4; ++k) rows[j][k] -= factor * rows[i][k];
    }
  }
  Terms terms{};
  for (size_t i = 0; i < 3; ++i)
    if (used[i]) terms[i] = rows[i][3] / rows[i][i];
  return terms;
}

/// Least squares over the terms in `used`, each scaled to 1 at its largest so that no pivot is small but for want of
/// data.
std::optional<Terms> fit(std::span<const MeasuredCall> calls, const std::array<bool, 3>& used) {
  Terms largest{};
  for (const MeasuredCall& call : calls)
    for (size_t i = 0; i < 3; ++i) largest[i] = std::max(largest[i], quantities(call)[i]);
  std::array<std::array<double, 4>, 3> rows{};
  double weights = 0;
  for (const MeasuredCall& call : calls) {
    double weight = double(call.calls) / call.seconds;
    weights += weight;
    Terms x = quantities(call);
    for (size_t i = 0; i < 3; ++i) {
      if (!used[i] || largest[i] == 0) continue;
      for (size_t j = 0; j < 3; ++j)
        if (largest[j] > 0) rows[i][j] += weight * x[i] / largest[i] * x[j] / largest[j];
      rows[i][3] += weight * x[i] / largest[i] * call.seconds;
    }
  }
  for (auto& row : rows)
    for (double& value : row) value /= weights;
  std::optional<Terms> terms = solve(rows, used);
  for (size_t i = 0; terms && i < 3; ++i)
    if (used[i]) (*terms)[i] /= largest[i];
  return terms;
}

/// The best of all subsets of terms with which none is negative: with three terms there are seven.
Terms best_terms(std::span<const MeasuredCall> calls) {
  Terms best{};
  double least = misfit(best, calls);
  for (int subset = 1; subset < 8; ++subset) {
    std::optional<Terms> terms = fit(calls, {(subset & 1) != 0, (subset & 2) != 0, (subset & 4) != 0});
    if (!terms || *std::min_element(terms->begin(), terms->end()) < 0) continue;
    if (double off = misfit(*terms, calls); off < least) best = *terms, least = off;
  }
  return best;
}

double rounded(double value) {
  if (value == 0) return 0;
  double scale = std::pow(10.0, 3 - std::floor(std::log10(value)));
  return std::round(value * scale) / scale;
}

}  // namespace

CallSeconds at_rates(const DeviceProfile& profile, JobShape shape) {
  const Ceilings ceilings = profile.ceilings(shape.dtype);
  Rates rates = rates_for(profile.kernels, shape);
  if (profile.kernels.empty()) {
    DeviceProfile measured = read_device_profile("h200");
    rates = rates_for(measured.kernels, shape);
    scale(rates, measured.ceilings(shape.dtype), ceilings);
  }
  return [rates = std::move(rates), ceilings](std::string_view kernel, Work work) {
    auto found = rates.find(kernel);
    return found == rates.end() ? ceilings.launch_seconds + roofline_seconds(work, ceilings) / kUnknownShare
                                : seconds_of(found->second, work);
  };
}

std::vector<KernelRate> fitted_rates(std::span<const MeasuredCall> calls) {
  std::map<std::tuple<std::string, DType, int64_t>, std::vector<MeasuredCall>> groups;
  for (const MeasuredCall& call : calls) {
    int64_t head_dim = depends_on_head_dim(call.kernel) ? call.shape.head_dim : 0;
    groups[{call.kernel, call.shape.dtype, head_dim}].push_back(call);
  }
  std::vector<KernelRate> rates;
  for (const auto& [key, group] : groups) {
    Terms terms = best_terms(group);
    rates.push_back({.kernel = std::get<0>(key),
                     .dtype = name_of(std::get<1>(key)),
                     .head_dim = std::get<2>(key),
                     .microseconds = rounded(terms[0] * 1e6),
                     .tflops = terms[1] > 0 ? rounded(1e-12 / terms[1]) : 0,
                     .gigabytes_per_second = terms[2] > 0 ? rounded(1e-9 / terms[2]) : 0});
  }
  return rates;
}

void stretch(KernelRate& rate, double factor) {
  rate.microseconds = rounded(rate.microseconds * factor);
  rate.tflops = rounded(rate.tflops / factor);
  rate.gigabytes_per_second = rounded(rate.gigabytes_per_second / factor);
}

}  // namespace lathe
