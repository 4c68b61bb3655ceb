#include "lathe/cli/sampling_options.h"

#include <map>
#include <nlohmann/json.hpp>

#include "lathe/base/error.h"
#include "lathe/base/log.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/escapes.h"

namespace lathe::cli {
namespace {

const std::map<std::string, EarlyStopping>& early_stoppings() {
  static const std::map<std::string, EarlyStopping> all = {
      {"no", EarlyStopping::no}, {"yes", EarlyStopping::yes}, {"never", EarlyStopping::never}};
  return all;
}

/// An option without which the model's own files count, then `usual`.
template <class T>
void add(CommandLine app, const char* name, std::optional<T>& value, const std::string& help,
         const std::string& usual) {
  app.add_option(name, value, text(help, " (the model's own, else ", usual, ")"));
}

/// Puts values together, and notes what the model's files say.
class Chooser {
 public:
  explicit Chooser(std::string& from_model) : from_model_(from_model) {}

  template <class T>
  void take(T& value, const std::optional<T>& said, const std::optional<T>& own, const char* name) {
    if (own && !said) from_model_ += text(from_model_.empty() ? "" : ", ", name, ' ', *own);
    value = said.value_or(own.value_or(value));
  }

 private:
  std::string& from_model_;
};

/// Whether tokens are to be drawn, and not the likeliest texts to be searched for.
bool draws(const GenerationConfig& config) {
  return config.temperature.value_or(0) > 0 || config.top_k || config.top_p || config.min_p ||
         !config.stop_strings.empty();
}

/// An option that would be read by nothing.
template <class T>
void refuse(const std::optional<T>& said, const char* option, const char* why) {
  require(!said, option, why);
}

/// Options of one way to choose tokens do not go with the other.
void require_together(const GenerationConfig& said, bool searches) {
  constexpr const char *kDraws = " does not go with --beams, which searches for the likeliest text and draws nothing",
                       *kSearches = " is for a search: it needs --beams";
  if (searches) {
    if (said.temperature != 0.0) refuse(said.temperature, "--temperature", kDraws);
    refuse(said.top_k, "--top-k", kDraws);
    refuse(said.top_p, "--top-p", kDraws);
    refuse(said.min_p, "--min-p", kDraws);
  } else {
    refuse(said.length_penalty, "--length-penalty", kSearches);
    refuse(said.early_stopping, "--early-stopping", kSearches);
  }
}

void choose_search(const GenerationConfig& said, GenerationConfig own, Chooser& chooser, BeamOptions& search) {
  search.beams = 1;
  if (draws(said) || draws(own)) own.num_beams = std::nullopt;
  chooser.take(search.beams, said.num_beams, own.num_beams, "beams");
  if (search.beams == 1) return;
  chooser.take(search.length_penalty, said.length_penalty, own.length_penalty, "length penalty");
  std::string early = "no";
  chooser.take(early, said.early_stopping, own.early_stopping, "early stopping");
  auto found = early_stoppings().find(early);
  require(found != early_stoppings().end(), "early stopping \"", early, "\" must be no, yes or never");
  search.early_stopping = found->second;
}

Sampling put_together(const SamplingChoice& choice, const GenerationConfig& own) {
  Sampling all;
  Chooser chooser(all.from_model);
  const GenerationConfig& said = choice.said;
  SamplingOptions& s = all.generation.sampling;
  s.temperature = 0.8, s.top_p = 0.95, s.seed = choice.seed;
  all.generation.max_new_tokens = choice.usual_tokens;
  choose_search(said, own, chooser, all.search);
  bool searches = all.search.beams > 1;
  if (!searches) {
    chooser.take(s.temperature, said.temperature, own.temperature, "temperature");
    chooser.take(s.top_k, said.top_k, own.top_k, "top-k");
    chooser.take(s.top_p, said.top_p, own.top_p, "top-p");
    chooser.take(s.min_p, said.min_p, own.min_p, "min-p");
  }
  chooser.take(s.repetition_penalty, said.repetition_penalty, own.repetition_penalty, "repetition penalty");
  chooser.take(s.no_repeat_ngram_size, said.no_repeat_ngram_size, own.no_repeat_ngram_size, "no repeated n-gram of");
  chooser.take(all.generation.max_new_tokens, said.max_new_tokens, own.max_new_tokens, "most tokens");
  all.generation.stop = said.stop_strings;
  if (!searches)
    all.generation.stop.insert(all.generation.stop.end(), own.stop_strings.begin(), own.stop_strings.end());
  all.search.max_new_tokens = all.generation.max_new_tokens;
  all.search.repetition_penalty = s.repetition_penalty;
  all.search.no_repeat_ngram_size = s.no_repeat_ngram_size;
  check_sampling(s);
  check_beams(all.search);
  require(!searches || said.stop_strings.empty(), "--stop does not go with --beams: a search ends at end tokens alone");
  return all;
}

}  // namespace

void declare_sampling(CommandLine app, SamplingChoice& choice) {
  GenerationConfig& said = choice.said;
  add(app, "--max-tokens", said.max_new_tokens, "most tokens to write after a prompt",
      std::to_string(choice.usual_tokens));
  app.add_option_function<std::vector<std::string>>(
         "--stop",
         [&said](const std::vector<std::string>& all) {
           for (const std::string& stop : all) said.stop_strings.push_back(unescaped(stop));
         },
         "end the text before this; again for several")
      .expected(1)
      .take_all()
      .type_name("TEXT");
  add(app, "--temperature", said.temperature, "0: the likeliest token always", "0.8");
  add(app, "--top-k", said.top_k, "draw from the likeliest K tokens; 0: all", "0");
  add(app, "--top-p", said.top_p, "draw from the likeliest tokens of this share", "0.95");
  add(app, "--min-p", said.min_p, "draw from tokens this likely, as a share of the likeliest", "0");
  add(app, "--repetition-penalty", said.repetition_penalty, "above 1: avoid tokens that occurred", "1");
  add(app, "--no-repeat-ngram", said.no_repeat_ngram_size, "no N tokens in a row occur twice; 0: they may", "0");
  app.add_option("--seed", choice.seed, "of the random numbers").capture_default_str();
}

void declare_beams(CommandLine app, SamplingChoice& choice) {
  GenerationConfig& said = choice.said;
  add(app, "--beams", said.num_beams, "above 1: search for the likeliest text with this many candidates", "1");
  add(app, "--length-penalty", said.length_penalty, "of a search: above 0 favours longer texts", "1");
  app.add_option("--early-stopping", said.early_stopping, "of a search (the model's own, else no)")
      .one_of({"no", "yes", "never"});
}

Sampling sampling_of(const SamplingChoice& choice, const GenerationConfig& own, const std::string& model) {
  Sampling all = put_together(choice, {});  // a mistake of the user is none of the model's files
  const std::string file = is_gguf(model) ? model : model + "/generation_config.json";
  try {
    all = put_together(choice, own);
  } catch (const Error& error) {
    throw Error(text(file, ": ", error.what(), "; the option of that name overrules it"));
  }
  require_together(choice.said, all.search.beams > 1);
  if (!all.from_model.empty()) log_info(all.from_model, ", as ", file, " says");
  std::string ignored;
  for (const std::string& field : own.ignored) ignored += text(ignored.empty() ? "" : ", ", field);
  if (!ignored.empty()) say_once(file, ": lathe does not apply ", ignored);
  return all;
}

nlohmann::ordered_json Sampling::json() const {
  const SamplingOptions& s = generation.sampling;
  nlohmann::ordered_json json = {{"max_new_tokens", generation.max_new_tokens},
                                 {"repetition_penalty", s.repetition_penalty},
                                 {"no_repeat_ngram_size", s.no_repeat_ngram_size},
                                 {"num_beams", search.beams}};
  if (search.beams > 1) {
    json["length_penalty"] = search.length_penalty;
  } else {
    json["temperature"] = s.temperature;
    json["top_k"] = s.top_k;
    json["top_p"] = s.top_p;
    json["min_p"] = s.min_p;
    json["seed"] = s.seed;
  }
  return json;
}

}  // namespace lathe::cli
