#include "lathe/infer/beam_search.h"

#include <algorithm>
#include <cmath>

#include "lathe/base/error.h"
#include "lathe/infer/host_logits.h"
#include "lathe/infer/sampler.h"

namespace lathe {
namespace {

constexpr float kNever = -1e9f;  // the score of what must not be chosen

/// A text that may go on.
struct Beam {
  std::vector<uint32_t> tokens;  ///< with the prompt
  float score = 0;               ///< log probability of the new ones
  int64_t seat = 0;              ///< its sequence in the decoder
};

/// A running text and a token behind it.
struct Continuation {
  size_t beam;
  uint32_t token;
  float score;
  bool ends = false;
};

bool better(const Continuation& a, const Continuation& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
}

/// Turns logits into logarithms of probabilities, in place.
void log_softmax(std::span<float> scores) {
  float highest = *std::max_element(scores.begin(), scores.end());
  require(std::isfinite(highest), kLogitsAreNoNumbers);
  double sum = 0;
  for (float score : scores) sum += double(std::exp(score - highest));
  require(std::isfinite(sum), kLogitsAreNoNumbers);
  auto total = float(std::log(sum));
  for (float& score : scores) score = score - highest - total;
}

}  // namespace

void check_beams(const BeamOptions& o) {
  require(o.beams >= 1 && o.beams <= 256, "the number of beams, ", o.beams, ", must be from 1 to 256");
  require(std::isfinite(o.length_penalty), "length penalty ", o.length_penalty, " must be a number");
  check_sampling({.repetition_penalty = o.repetition_penalty, .no_repeat_ngram_size = o.no_repeat_ngram_size});
  require(o.max_new_tokens > 0, "the number of new tokens, ", o.max_new_tokens, ", must be above 0");
}

/// One run of a BeamSearch.
class Beams {
 public:
  Beams(BeamSearch& search, std::span<const uint32_t> prompt)
      : s_(search), o_(search.options_), prompt_(int64_t(prompt.size())) {
    running_.push_back({{prompt.begin(), prompt.end()}, 0, 0});
    continuations_ = size_t(std::max<int64_t>(2, 1 + int64_t(s_.end_tokens_.size())) * o_.beams);
  }

  std::vector<BeamResult> run(std::span<const uint32_t> source, const BeamSearch::RunStep& run_step,
                              const std::function<bool()>& stop) {
    for (bool first = true; going_; first = false) {
      if (stop && stop()) return {};
      bool starts = first && !source.empty();
      auto step = [&] { this->step(first, source); };
      run_step ? run_step(starts, step) : step();
    }
    return std::move(finished_);
  }

 private:
  BeamSearch& s_;
  const BeamOptions& o_;
  int64_t prompt_, written_ = 0;
  size_t continuations_;
  std::vector<Beam> running_;         ///< best first
  std::vector<BeamResult> finished_;  ///< best first, as many as beams at most
  bool can_improve_ = true, going_ = true;

  bool full() const { return int64_t(finished_.size()) == o_.beams; }

  void step(bool first, std::span<const uint32_t> source) {
    std::vector<Feed> feeds;
    for (const Beam& beam : running_)
      feeds.push_back({beam.seat, first ? std::span(beam.tokens) : std::span(beam.tokens).last(1), 0});
    auto use = [&](const Tensor& logits) { choose(logits); };
    if (first && !source.empty()) {
      Source whole{0, source};
      return s_.decoder_.start({&whole, 1}, feeds, use);
    }
    s_.decoder_.step(feeds, use);
  }

  void choose(const Tensor& device_logits) {
    HostLogits logits(device_logits);
    if (!logits.known()) {  // on meta every text has its full length
      going_ = ++written_ < o_.max_new_tokens;
      return grow_blindly();
    }
    std::vector<Continuation> best = likeliest(logits);
    for (Continuation& next : best) next.ends = ends(next.token);
    keep_finished(best);
    bool all_end = std::all_of(best.begin(), best.end(), [](const Continuation& next) { return next.ends; });
    go_on(best);
    ++written_;
    can_improve_ = can_improve_ && improvable();
    going_ = can_improve_ && !all_end && !(full() && o_.early_stopping == EarlyStopping::yes);
  }

  /// The best continuations of all running texts, best first.
  std::vector<Continuation> likeliest(HostLogits& logits) {
    std::vector<std::vector<Continuation>> of_beam(running_.size());
    std::vector<std::vector<float>> rows(running_.size());
    for (size_t b = 0; b < running_.size(); ++b) logits.row(int64_t(b), s_.vocabulary_, rows[b]);
    for (size_t b = 0; b < running_.size(); ++b) {
      score(running_[b], rows[b]);
      for (uint32_t token = 0; token < rows[b].size(); ++token) of_beam[b].push_back({b, token, rows[b][token]});
      keep_best(of_beam[b]);
    }
    std::vector<Continuation> best;
    for (auto& some : of_beam) best.insert(best.end(), some.begin(), some.end());
    keep_best(best);
    return best;
  }

  void keep_best(std::vector<Continuation>& all) const {
    size_t count = std::min(continuations_, all.size());
    std::partial_sort(all.begin(), all.begin() + int64_t(count), all.end(), better);
    all.resize(count);
  }

  /// Logits of the next token -> scores of the text with it.
  void score(const Beam& beam, std::vector<float>& row) const {
    log_softmax(row);
    penalize_repeats(row, beam.tokens, o_.repetition_penalty);
    forbid_repeats(row, beam.tokens, o_.no_repeat_ngram_size);
    if (written_ == 0 && o_.forced_bos_token_id >= 0) force(row, o_.forced_bos_token_id);
    if (written_ + 1 == o_.max_new_tokens && o_.forced_eos_token_id >= 0) force(row, o_.forced_eos_token_id);
    for (float& value : row) value += beam.score;
  }

  static void force(std::vector<float>& row, int64_t token) {
    std::fill(row.begin(), row.end(), -INFINITY);
    if (token < int64_t(row.size())) row[size_t(token)] = 0;
  }

  bool ends(uint32_t token) const {
    return written_ + 1 >= o_.max_new_tokens ||
           std::find(s_.end_tokens_.begin(), s_.end_tokens_.end(), token) != s_.end_tokens_.end();
  }

  /// Only the best `beams` continuations may end a text; the others are there so that enough can go on.
  void keep_finished(const std::vector<Continuation>& best) {
    if (!can_improve_ || (full() && o_.early_stopping == EarlyStopping::yes)) return;
    for (size_t i = 0; i < best.size() && int64_t(i) < o_.beams; ++i) {
      if (!best[i].ends) continue;
      BeamResult result{new_tokens(best[i]), 0};
      result.score = best[i].score / float(std::pow(double(written_ + 1), o_.length_penalty));
      auto place = std::upper_bound(finished_.begin(), finished_.end(), result.score,
                                    [](float score, const BeamResult& other) { return score > other.score; });
      finished_.insert(place, std::move(result));
    }
    if (int64_t(finished_.size()) > o_.beams) finished_.resize(size_t(o_.beams));
  }

  std::vector<uint32_t> new_tokens(const Continuation& next) const {
    const std::vector<uint32_t>& all = running_[next.beam].tokens;
    std::vector<uint32_t> tokens(all.begin() + prompt_, all.end());
    tokens.push_back(next.token);
    return tokens;
  }

  /// The best continuations that do not end become the running texts; each takes over a sequence of the decoder.
  void go_on(std::vector<Continuation> best) {
    for (Continuation& next : best)
      if (next.ends) next.score += kNever;
    std::stable_sort(best.begin(), best.end(), [](auto& a, auto& b) { return a.score > b.score; });
    best.resize(std::min(best.size(), size_t(o_.beams)));
    std::vector<bool> taken(size_t(o_.beams), false);
    std::vector<Beam> running;
    std::vector<size_t> waiting;  // children of a parent whose sequence an earlier one took over
    for (const Continuation& next : best) {
      const Beam& parent = running_[next.beam];
      running.push_back({parent.tokens, next.score, parent.seat});
      running.back().tokens.push_back(next.token);
      if (taken[size_t(parent.seat)]) waiting.push_back(running.size() - 1);
      taken[size_t(parent.seat)] = true;
    }
    for (size_t child : waiting) {
      int64_t seat = std::find(taken.begin(), taken.end(), false) - taken.begin();
      taken[size_t(seat)] = true;
      s_.decoder_.copy_sequence(running[child].seat, seat);
      running[child].seat = seat;
    }
    running_ = std::move(running);
  }

  /// Whether a running text could still be better than the worst of the finished ones.
  bool improvable() const {
    if (!full() || running_.empty()) return true;
    bool longest = o_.early_stopping == EarlyStopping::never && o_.length_penalty > 0;
    auto length = double(longest ? o_.max_new_tokens : written_);
    return running_.front().score / float(std::pow(length, o_.length_penalty)) > finished_.back().score;
  }

  void grow_blindly() {
    while (int64_t(running_.size()) < o_.beams) {
      Beam copy = running_.front();
      copy.seat = int64_t(running_.size());
      s_.decoder_.copy_sequence(0, copy.seat);
      running_.push_back(std::move(copy));
    }
    for (Beam& beam : running_) beam.tokens.push_back(0);
    if (!going_) finished_.push_back({{running_.front().tokens.begin() + prompt_, running_.front().tokens.end()}, 0});
  }
};

BeamSearch::BeamSearch(Decoder& decoder, int64_t vocabulary, std::vector<uint32_t> end_tokens,
                       const BeamOptions& options)
    : decoder_(decoder), vocabulary_(vocabulary), end_tokens_(std::move(end_tokens)), options_(options) {
  check_beams(options);
  if (decoder.limits().sequences < options.beams)
    throw InternalError(text("a decoder of ", decoder.limits().sequences, " sequences for ", options.beams, " beams"));
}

std::vector<BeamResult> BeamSearch::run(std::span<const uint32_t> source, std::span<const uint32_t> prompt,
                                        const RunStep& run_step, const std::function<bool()>& stop) {
  for (int64_t seat = 0; seat < options_.beams; ++seat) decoder_.clear(seat);
  return Beams(*this, prompt).run(source, run_step, stop);
}

}  // namespace lathe
