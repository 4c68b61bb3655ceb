#include "lathe/infer/generator.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <list>
#include <optional>
#include <utility>

#include "lathe/infer/host_logits.h"
#include "lathe/infer/stop_strings.h"

namespace lathe {
namespace {

using Clock = std::chrono::steady_clock;

/// A text that is being written.
struct Sequence {
  Sequence(const GenerationOptions& options, const Tokenizer& tokenizer, size_t number, int64_t at,
           std::span<const TokenId> begin, int64_t longest)
      : prompt_number(number),
        seat(at),
        prompt_tokens(begin.size()),
        sampler(options.sampling, number),
        stream(tokenizer),
        stops(options.stop) {
    history.reserve(size_t(longest) + 1);  // spans of it stay valid
    history.assign(begin.begin(), begin.end());
  }

  /// What to feed next: up to the next boundary of chunks.
  std::span<const TokenId> pending() const {
    size_t chunk = size_t(Generator::kChunk), end = std::min(history.size(), (fed / chunk + 1) * chunk);
    return std::span(history).subspan(fed, end - fed);
  }

  size_t written() const { return history.size() - prompt_tokens; }

  size_t prompt_number;
  int64_t seat;
  size_t prompt_tokens;          ///< of history
  std::vector<TokenId> history;  ///< prompt and text
  size_t fed = 0;                ///< tokens of it that the cache holds
  Sampler sampler;
  TextStream stream;
  StopStrings stops;
  std::vector<float> logits;  ///< as its sampler reads them
  TokenId chosen = 0;
  bool done = false;
  Clock::time_point start = Clock::now();
};

/// A step that was launched, and what it found, on its way to the host.
struct Flight {
  std::vector<Sequence*> fed;  ///< null: it has ended since
  std::vector<size_t> counts;  ///< new tokens of each
  bool known = false;          ///< what follows is chosen, not on meta
  std::optional<ReadBack> likeliest;
};

}  // namespace

const char* name_of(Finish finish) {
  constexpr const char* names[] = {"end_token", "stop_string", "length", "context", "interrupted"};
  return names[size_t(finish)];
}

/// One run of a Generator.
class Generation {
 public:
  Generation(Generator& generator, std::span<const std::vector<TokenId>> prompts, const GenerationHooks& hooks)
      : g_(generator),
        limits_(generator.decoder_.limits()),
        prompts_(prompts),
        hooks_(hooks),
        results_(prompts.size()) {
    for (int64_t seat = limits_.sequences; seat-- > 0;) free_seats_.push_back(seat);
  }

  /// Writes after the one prompt, of which the cache holds the first `cached` tokens, and leaves all there.
  Generated resume(size_t cached) {
    keeps_ = true;
    admit();
    running_.front().fed = cached;
    results_[0].prompt_tokens -= int64_t(cached);
    return std::move(run()[0]);
  }

  std::vector<Generated> run() {
    while (next_ < prompts_.size() || !running_.empty()) {
      if (hooks_.stop && hooks_.stop()) break;
      admit();
      step();
      running_.remove_if([](const Sequence& sequence) { return sequence.done; });
    }
    for (Sequence& sequence : running_) finish(sequence, Finish::interrupted);
    for (; next_ < prompts_.size(); ++next_) report(next_, Finish::interrupted);
    return std::move(results_);
  }

 private:
  Generator& g_;
  const DecoderLimits& limits_;
  std::span<const std::vector<TokenId>> prompts_;
  const GenerationHooks& hooks_;
  std::vector<Generated> results_;
  std::list<Sequence> running_;
  std::vector<int64_t> free_seats_;
  std::optional<Flight> ahead_;  ///< launched before the host read what the step before it found
  size_t next_ = 0;              ///< prompt
  bool keeps_ = false;           ///< the cache keeps what it has of the only sequence

  void admit() {
    for (; next_ < prompts_.size() && !free_seats_.empty(); ++next_) {
      results_[next_].prompt_tokens = int64_t(prompts_[next_].size());
      std::span<const TokenId> begin = prompts_[next_];
      if (g_.decoder_.has_encoder()) begin = {&g_.options_.start_token, 1};
      running_.emplace_back(g_.options_, g_.tokenizer_, next_, free_seats_.back(), begin, limits_.length);
      free_seats_.pop_back();
    }
  }

  void step() {
    Flight now = ahead_ ? *std::exchange(ahead_, std::nullopt) : begin_step();
    if (can_run_ahead(now)) ahead_ = run_ahead(now);
    if (now.likeliest) choose_likeliest(now);
    for (size_t i = 0; i < now.fed.size(); ++i)
      if (now.fed[i]) take(*now.fed[i], now.counts[i], now.known);
  }

  Flight begin_step() {
    Flight flight;
    std::vector<Feed> feeds;
    std::vector<Source> sources;
    int64_t left = limits_.step_tokens, left_to_read = limits_.step_source_tokens;
    for (Sequence& sequence : running_) {
      std::span<const TokenId> tokens = sequence.pending(), source = unread(sequence);
      if (int64_t(tokens.size()) > left || int64_t(source.size()) > left_to_read) continue;
      left -= int64_t(tokens.size());
      left_to_read -= int64_t(source.size());
      if (!source.empty()) sources.push_back({sequence.seat, source});
      feeds.push_back({sequence.seat, tokens});
      flight.fed.push_back(&sequence);
      flight.counts.push_back(tokens.size());
    }
    auto use = [&](const Tensor& logits) {
      flight.known = !logits.is_meta();
      if (!flight.known) return;
      if (is_greedy(g_.options_.sampling))
        find_likeliest(flight);
      else
        choose(flight.fed, feeds, HostLogits(logits));
    };
    auto episode = [&] { sources.empty() ? g_.decoder_.step(feeds, use) : g_.decoder_.start(sources, feeds, use); };
    run_episode(sources.empty() ? hooks_.run_step : hooks_.run_start, episode);
    return flight;
  }

  static void run_episode(const std::function<void(const std::function<void()>&)>& run,
                          const std::function<void()>& episode) {
    run ? run(episode) : episode();
  }

  /// Whether each sequence is sure to go on, with whatever `flight` finds, unless that ends it.
  bool can_run_ahead(const Flight& flight) const {
    auto goes_on = [&](const Sequence* sequence) {
      return sequence && int64_t(sequence->written()) + 1 < g_.options_.max_new_tokens &&
             int64_t(sequence->history.size()) + 1 < limits_.length && forced_token(*sequence) < 0;
    };
    return flight.likeliest && flight.fed.size() == running_.size() &&
           g_.decoder_.can_step_on(int64_t(flight.fed.size())) &&
           std::all_of(flight.counts.begin(), flight.counts.end(), [](size_t count) { return count == 1; }) &&
           std::all_of(flight.fed.begin(), flight.fed.end(), goes_on);
  }

  Flight run_ahead(const Flight& flight) {
    Flight next{flight.fed, flight.counts, true, {}};
    run_episode(hooks_.run_step, [&] {
      g_.decoder_.step_on(int64_t(next.fed.size()));
      find_likeliest(next);
    });
    return next;
  }

  /// What the encoder has yet to read before `sequence` can be written.
  std::span<const TokenId> unread(const Sequence& sequence) const {
    bool reads = g_.decoder_.has_encoder() && sequence.fed == 0;
    return reads ? std::span<const TokenId>(prompts_[sequence.prompt_number]) : std::span<const TokenId>();
  }

  int64_t vocabulary() const { return std::min(g_.decoder_.vocabulary(), g_.tokenizer_.vocabulary_size()); }

  /// As choose() for samplers that take the likeliest token: nothing but that is read back.
  void find_likeliest(Flight& flight) {
    flight.likeliest.emplace(g_.decoder_.likeliest(int64_t(flight.fed.size()), vocabulary()));
  }
  void choose_likeliest(const Flight& flight) {
    const int32_t* ids = flight.likeliest->wait<int32_t>();
    for (size_t i = 0; i < flight.fed.size(); ++i) {
      if (!flight.fed[i]) continue;
      int64_t forced = forced_token(*flight.fed[i]);
      require(ids[i] >= 0, kLogitsAreNoNumbers);
      flight.fed[i]->chosen = TokenId(forced >= 0 ? forced : ids[i]);
    }
  }

  /// What follows the last token of every sequence whose tokens all have been seen then.
  void choose(std::span<Sequence* const> fed, std::span<const Feed> feeds, const HostLogits& logits) {
    std::vector<std::exception_ptr> thrown(fed.size());  // none may leave a parallel region
#pragma omp parallel for schedule(static) if (fed.size() > 1)
    for (size_t i = 0; i < fed.size(); ++i) try {
        Sequence& sequence = *fed[i];
        if (sequence.fed + feeds[i].tokens.size() < sequence.history.size()) continue;
        std::span<const float> row = logits.row(int64_t(i), vocabulary(), sequence.logits);
        int64_t forced = forced_token(sequence);
        sequence.chosen = forced >= 0 ? TokenId(forced) : sequence.sampler.choose(row, sequence.history);
      } catch (...) {
        thrown[i] = std::current_exception();
      }
    for (const std::exception_ptr& problem : thrown)
      if (problem) std::rethrow_exception(problem);
  }

  /// What comes next whatever the model says; -1: nothing.
  int64_t forced_token(const Sequence& sequence) const {
    const GenerationOptions& o = g_.options_;
    if (sequence.written() == 0 && o.forced_bos_token_id >= 0) return o.forced_bos_token_id;
    return int64_t(sequence.written()) + 1 == o.max_new_tokens ? o.forced_eos_token_id : -1;
  }

  /// The step has seen `count` more tokens of `sequence`; after the last of all comes what was chosen.
  void take(Sequence& sequence, size_t count, bool known) {
    sequence.fed += count;
    if (sequence.fed < sequence.history.size()) return;
    TokenId token = sequence.chosen;
    sequence.history.push_back(token);
    Generated& result = results_[sequence.prompt_number];
    if (result.tokens.empty()) result.prompt_seconds = seconds_of(sequence);
    result.tokens.push_back(token);
    if (known && std::find(g_.end_tokens_.begin(), g_.end_tokens_.end(), token) != g_.end_tokens_.end())
      return finish(sequence, Finish::end_token);
    show(sequence, sequence.stops.push(sequence.stream.push(token)));
    if (known && sequence.stops.stopped()) return finish(sequence, Finish::stop_string);
    if (int64_t(sequence.written()) >= g_.options_.max_new_tokens) return finish(sequence, Finish::length);
    if (int64_t(sequence.history.size()) >= limits_.length) finish(sequence, Finish::context);
  }

  void finish(Sequence& sequence, Finish reason) {
    show(sequence, sequence.stops.push(sequence.stream.finish()));
    if (sequence.stops.stopped() && reason != Finish::interrupted) reason = Finish::stop_string;
    show(sequence, sequence.stops.finish());
    sequence.done = true;
    if (ahead_) std::replace(ahead_->fed.begin(), ahead_->fed.end(), &sequence, static_cast<Sequence*>(nullptr));
    if (keeps_)
      g_.held_.assign(sequence.history.begin(), sequence.history.begin() + std::ptrdiff_t(sequence.fed));
    else
      g_.decoder_.clear(sequence.seat);
    free_seats_.push_back(sequence.seat);
    results_[sequence.prompt_number].seconds = seconds_of(sequence);
    report(sequence.prompt_number, reason);
  }

  static double seconds_of(const Sequence& sequence) {
    return std::chrono::duration<double>(Clock::now() - sequence.start).count();
  }

  void report(size_t prompt, Finish reason) {
    results_[prompt].finish = reason;
    if (hooks_.on_finish) hooks_.on_finish(prompt, results_[prompt]);
  }

  void show(Sequence& sequence, const std::string& piece) {
    if (piece.empty()) return;
    results_[sequence.prompt_number].text += piece;
    if (hooks_.on_text) hooks_.on_text(sequence.prompt_number, piece);
  }
};

Generator::Generator(Decoder& decoder, const Tokenizer& tokenizer, std::vector<TokenId> end_tokens,
                     GenerationOptions options)
    : decoder_(decoder), tokenizer_(tokenizer), end_tokens_(std::move(end_tokens)), options_(std::move(options)) {
  check_sampling(options_.sampling);
  StopStrings check(options_.stop);
  require(options_.max_new_tokens > 0, "the number of new tokens, ", options_.max_new_tokens, ", must be above 0");
}

void Generator::require_fits(std::span<const std::vector<TokenId>> prompts) const {
  const DecoderLimits& limits = decoder_.limits();
  if (decoder_.has_encoder())
    limits_for_sources(prompts, options_.max_new_tokens, limits.source_length, limits.sequences);
  else
    limits_for(prompts, options_.max_new_tokens, limits.length, limits.sequences);
}

std::vector<Generated> Generator::run(std::span<const std::vector<TokenId>> prompts, const GenerationHooks& hooks) {
  require_fits(prompts);
  held_.clear();
  decoder_.clear(0);
  return Generation(*this, prompts, hooks).run();
}

Generated Generator::resume(const std::vector<TokenId>& prompt, const GenerationHooks& hooks) {
  require(!decoder_.has_encoder(), "an encoder-decoder model holds no conversation");
  require_fits({&prompt, 1});
  size_t shared = 0;  // the last token is computed in any case: its logits are needed
  while (shared + 1 < prompt.size() && shared < held_.size() && prompt[shared] == held_[shared]) ++shared;
  held_.clear();  // until the end, when it is known what the cache holds
  decoder_.truncate(0, int64_t(shared));
  return Generation(*this, {&prompt, 1}, hooks).resume(shared);
}

DecoderLimits limits_for(std::span<const std::vector<TokenId>> prompts, int64_t max_new_tokens, int64_t context,
                         int64_t batch) {
  DecoderLimits limits{.sequences = std::clamp<int64_t>(int64_t(prompts.size()), 1, batch)};
  int64_t all = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    int64_t tokens = int64_t(prompts[i].size());
    require(tokens > 0, "prompt ", i + 1, " has no tokens");
    require(tokens < context, "prompt ", i + 1, " has ", tokens, " tokens; the model's context is ", context,
            ", which leaves no room for a text; shorten it");
    limits.length = std::max(limits.length, std::min(tokens + std::min(max_new_tokens, context), context));
    all += std::min(tokens, Generator::kChunk);
  }
  limits.step_tokens = std::max(limits.sequences, std::min(all, Generator::kStepTokens));
  return limits;
}

DecoderLimits limits_for_sources(std::span<const std::vector<TokenId>> sources, int64_t max_new_tokens, int64_t context,
                                 int64_t batch) {
  DecoderLimits limits{.sequences = std::clamp<int64_t>(int64_t(sources.size()), 1, batch)};
  int64_t all = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    auto tokens = int64_t(sources[i].size());
    require(tokens > 0, "prompt ", i + 1, " has no tokens");
    require(tokens <= context, "prompt ", i + 1, " has ", tokens, " tokens; the model reads at most ", context,
            "; shorten it");
    limits.source_length = std::max(limits.source_length, tokens);
    all += tokens;
  }
  limits.length = 1 + std::min(max_new_tokens, context - 1);
  limits.sources = limits.step_tokens = limits.sequences;
  limits.step_source_tokens = std::max(limits.source_length, std::min(all, Generator::kChunk));
  return limits;
}

}  // namespace lathe
