#include "lathe/cli/sampling_options.h"

#include <CLI/CLI.hpp>

#include "lathe/cli/escapes.h"

namespace lathe::cli {

void declare_sampling(CLI::App& app, GenerationOptions& options) {
  SamplingOptions& s = options.sampling;
  app.add_option("--max-tokens", options.max_new_tokens, "most tokens to write after a prompt")->capture_default_str();
  app.add_option_function<std::vector<std::string>>(
         "--stop",
         [&options](const std::vector<std::string>& all) {
           for (const std::string& stop : all) options.stop.push_back(unescaped(stop));
         },
         "end the text before this; again for several")
      ->expected(1)
      ->take_all()
      ->type_name("TEXT");
  app.add_option("--temperature", s.temperature, "0: the likeliest token always")->capture_default_str();
  app.add_option("--top-k", s.top_k, "draw from the likeliest K tokens; 0: all")->capture_default_str();
  app.add_option("--top-p", s.top_p, "draw from the likeliest tokens of this share")->capture_default_str();
  app.add_option("--min-p", s.min_p, "draw from tokens this likely, as a share of the likeliest")
      ->capture_default_str();
  app.add_option("--repetition-penalty", s.repetition_penalty, "above 1: avoid tokens that occurred")
      ->capture_default_str();
  app.add_option("--no-repeat-ngram", s.no_repeat_ngram_size, "no N tokens in a row occur twice; 0: they may")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--seed", s.seed, "of the random numbers")->capture_default_str();
}

}  // namespace lathe::cli
