#include "lathe/infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lathe/base/error.h"

namespace lathe {
namespace {

bool likelier(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
}

void require_numbers(std::span<const float> logits) {
  int bad = 0;
#pragma omp simd reduction(| : bad)
  for (size_t i = 0; i < logits.size(); ++i) bad |= !(logits[i] < INFINITY);  // NaN too
  require(!bad, kLogitsAreNoNumbers);
}

float highest_of(std::span<const float> scores) {
  float highest = -INFINITY;
#pragma omp simd reduction(max : highest)
  for (size_t i = 0; i < scores.size(); ++i) highest = std::max(highest, scores[i]);
  return highest;
}

/// The first of the highest.
uint32_t likeliest(std::span<const float> scores) {
  return uint32_t(std::find(scores.begin(), scores.end(), highest_of(scores)) - scores.begin());
}

double sum_of(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += double(candidate.probability);
  return sum;
}

}  // namespace

void check_sampling(const SamplingOptions& o) {
  require(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty), "repetition penalty ", o.repetition_penalty,
          " must be above 0; 1 changes nothing");
  require(o.temperature >= 0 && std::isfinite(o.temperature), "temperature ", o.temperature, " must not be negative");
  require(o.top_k >= 0, "top-k ", o.top_k, " must not be negative; 0 keeps all tokens");
  require(o.top_p > 0 && o.top_p <= 1, "top-p ", o.top_p, " must be above 0 and at most 1");
  require(o.no_repeat_ngram_size >= 0, "the size of n-grams that must not repeat, ", o.no_repeat_ngram_size,
          ", must not be negative; 0 lets all repeat");
  require(o.min_p >= 0 && o.min_p <= 1, "min-p ", o.min_p, " must be from 0 to 1");
}

bool is_greedy(const SamplingOptions& o) {
  return o.temperature == 0 && o.repetition_penalty == 1 && o.no_repeat_ngram_size == 0;
}

void penalize_repeats(std::span<float> scores, std::span<const uint32_t> history, double by) {
  if (by == 1) return;
  auto penalty = float(by);
  std::vector<uint32_t> once(history.begin(), history.end());
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  for (uint32_t token : once)
    if (token < scores.size()) scores[token] = scores[token] > 0 ? scores[token] / penalty : scores[token] * penalty;
}

void forbid_repeats(std::span<float> scores, std::span<const uint32_t> history, int64_t size) {
  auto n = size_t(size);
  if (n == 0 || history.size() + 1 < n) return;
  std::span<const uint32_t> begun = history.last(n - 1);
  for (size_t i = 0; i + n <= history.size(); ++i)
    if (uint32_t next = history[i + n - 1];
        std::equal(begun.begin(), begun.end(), history.begin() + int64_t(i)) && next < scores.size())
      scores[next] = -INFINITY;
}

Sampler::Sampler(const SamplingOptions& options, uint64_t stream)
    : options_(options), random_(Random(options.seed).fork("sampling").fork(stream)) {
  check_sampling(options);
}

uint32_t Sampler::choose(std::span<const float> logits, std::span<const uint32_t> history) {
  if (options_.temperature == 0) return likeliest(penalized(logits, history));
  std::span<const Candidate> from = candidates(logits, history);
  double left = double(random_.uniform(history.size()));
  for (const Candidate& candidate : from)
    if ((left -= double(candidate.probability)) < 0) return candidate.token;
  return std::max_element(from.begin(), from.end(), [](auto& a, auto& b) { return a.probability < b.probability; })
      ->token;  // rounding left a little over
}

std::span<const Candidate> Sampler::candidates(std::span<const float> logits, std::span<const uint32_t> history) {
  std::span<const float> scores = penalized(logits, history);
  constexpr double kMost = std::numeric_limits<float>::max();  // beyond it the likeliest would be no number
  float highest = highest_of(scores), scale = float(std::min(1 / options_.temperature, kMost));
  candidates_.resize(scores.size());
  for (size_t i = 0; i < scores.size(); ++i)
    candidates_[i] = {uint32_t(i), std::exp((scores[i] - highest) * scale)};  // 1 for the likeliest
  if (options_.top_k > 0) keep_likeliest(size_t(options_.top_k));
  if (options_.top_p < 1) keep_share(options_.top_p);
  if (options_.min_p > 0)
    std::erase_if(candidates_, [&](const Candidate& c) { return double(c.probability) < options_.min_p; });
  double total = sum_of(candidates_);
  for (Candidate& candidate : candidates_) candidate.probability = float(double(candidate.probability) / total);
  return candidates_;
}

std::span<const float> Sampler::penalized(std::span<const float> logits, std::span<const uint32_t> history) {
  require_numbers(logits);
  if (options_.repetition_penalty == 1 && options_.no_repeat_ngram_size == 0) return logits;
  logits_.assign(logits.begin(), logits.end());
  penalize_repeats(logits_, history, options_.repetition_penalty);
  forbid_repeats(logits_, history, options_.no_repeat_ngram_size);
  return logits_;
}

void Sampler::keep_likeliest(size_t count) {
  count = std::min(count, candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + int64_t(count), candidates_.end(), likelier);
  candidates_.resize(count);
}

/// Takes the likeliest off a heap until they have the share: far fewer than a sort would order.
void Sampler::keep_share(double share) {
  double left = share * sum_of(candidates_);
  auto unlikelier = [](const Candidate& a, const Candidate& b) { return likelier(b, a); };
  auto end = candidates_.end();
  std::make_heap(candidates_.begin(), end, unlikelier);
  while (end != candidates_.begin() && left > 0) {
    std::pop_heap(candidates_.begin(), end, unlikelier);
    left -= double((--end)->probability);
  }
  candidates_.erase(candidates_.begin(), end);  // what is left was taken likeliest last
  std::reverse(candidates_.begin(), candidates_.end());
}

}  // namespace lathe
