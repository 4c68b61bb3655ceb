#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "lathe/base/error.h"
#include "lathe/base/numbers.h"
#include "lathe/cli/command.h"
#include "lathe/cli/command_line.h"
#include "lathe/cli/compute_options.h"
#include "lathe/cli/model_argument.h"
#include "lathe/cli/text_argument.h"
#include "lathe/infer/mask_filler.h"
#include "lathe/infer/model_directory.h"
#include "lathe/tensor/device_choice.h"

namespace lathe::cli {
namespace {

constexpr const char* kHelp = R"(
Examples:
  lathe fill-mask bert-base-uncased/ "Paris is the [MASK] of France."
  lathe fill-mask roberta-base/ "A lathe turns [MASK]." --top-k 10
  lathe fill-mask bert-base-uncased/ --file sentences.txt --json > answers.jsonl

The model is a directory of an encoder with a masked language model's head. The text may write the mask as [MASK] or as
the model's own token, <mask>. Each mask is filled by itself: with several, the choices do not know of each other.)";

constexpr const char* kMask = "[MASK]";
constexpr int64_t kMostMasks = 64;

struct Options {
  std::string model, file, field = "text";
  ComputeOptions compute;
  std::vector<std::string> texts;
  int64_t top_k = 5;
  bool json = false;
};

TokenId mask_token(const Tokenizer& tokenizer, const std::string& model) {
  for (const char* name : {kMask, "<mask>"})
    if (std::optional<TokenId> id = tokenizer.id(name)) return *id;
  throw Error(text(model, ": the tokenizer has no token [MASK] or <mask>"));
}

/// `written` with the model's own mask where it says [MASK].
std::string with_mask(std::string written, std::string_view mask) {
  if (mask == kMask) return written;
  for (size_t at = 0; (at = written.find(kMask, at)) != std::string::npos; at += mask.size())
    written.replace(at, std::string(kMask).size(), mask);
  return written;
}

void print(const std::string& written, const std::vector<std::vector<MaskChoice>>& masks, const Tokenizer& tokenizer,
           bool as_json) {
  nlohmann::json list = nlohmann::json::array();
  for (size_t i = 0; i < masks.size(); ++i) {
    if (!as_json && masks.size() > 1) std::cout << "mask " << i + 1 << '\n';
    list.push_back(nlohmann::json::array());
    for (const MaskChoice& choice : masks[i]) {
      bool known = int64_t(choice.token) < tokenizer.vocabulary_size();  // models may have more, which nothing spells
      std::string token = known ? tokenizer.decode(std::span(&choice.token, 1)) : text("<", choice.token, ">");
      if (as_json)
        list.back().push_back({{"token", token}, {"id", choice.token}, {"probability", choice.probability}});
      else
        std::cout << "  " << format_fixed(double(choice.probability), 4) << "  " << token << '\n';
    }
  }
  if (as_json)
    std::cout << nlohmann::json({{"text", written}, {"masks", list}})
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              << '\n';
}

int fill_mask(const Options& options) {
  ModelDirectory directory(model_directory(options.model));
  TokenId mask = mask_token(directory.tokenizer, options.model);
  Device device = choose_device(options.compute.device);
  MaskFiller filler(directory.files, directory.config,
                    {.limits = {},
                     .device = device,
                     .compute = dtype_of(options.compute, device, directory.files),
                     .memory = memory_budget(device)},
                    kMostMasks);
  TextArguments texts(options.texts, options.file, options.field);
  bool heading = options.texts.size() != 1 || !options.file.empty();
  for (std::vector<std::string> one; texts.next(one, 1);) {
    std::vector<TokenId> tokens =
        directory.tokenizer.encode_with_template(with_mask(one[0], directory.tokenizer.token(mask)));
    auto choices = filler.fill(tokens, mask, options.top_k);
    if (heading && !options.json) std::cout << "==> " << one[0] << '\n';
    print(one[0], choices, directory.tokenizer, options.json);
  }
  return 0;
}

std::function<int()> declare(CommandLine app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "a model's directory").required();
  app.add_option("texts", options->texts, "texts with masks");
  app.add_option("--file", options->file, "file of texts: a line each, or JSONL").type_name("FILE");
  app.add_option("--text-field", options->field, "field of JSONL objects that holds the text").capture_default_str();
  app.add_option("--top-k", options->top_k, "likeliest tokens that are shown for a mask")
      .positive()
      .capture_default_str();
  declare_compute(app, options->compute);
  app.add_flag("--json", options->json, "a JSON object a text");
  app.footer(kHelp);
  return [options] { return fill_mask(*options); };
}

const bool provided = provide_command({"fill-mask", "Say what could stand at the masks of a text", declare});

}  // namespace
}  // namespace lathe::cli
