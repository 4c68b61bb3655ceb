#include "lathe/infer/model_directory.h"

#include <algorithm>

#include "lathe/base/error.h"
#include "lathe/files/model_config.h"

namespace lathe {
namespace {

void add(std::vector<TokenId>& ids, int64_t id) {
  if (id >= 0 && std::find(ids.begin(), ids.end(), TokenId(id)) == ids.end()) ids.push_back(TokenId(id));
}

}  // namespace

std::vector<TokenId> prompt_tokens(const Tokenizer& tokenizer, const std::string& prompt) {
  std::vector<TokenId> plain = tokenizer.encode(prompt), all = tokenizer.encode_with_template(prompt);
  size_t added = all.size() - plain.size(), before = 0;
  if (plain.empty())  // what is before and what behind cannot be told apart
    before = !all.empty() && all.front() == tokenizer.begin_token();
  else
    while (before < added && !std::equal(plain.begin(), plain.end(), all.begin() + int64_t(before))) ++before;
  all.resize(before + plain.size());
  if (!all.empty()) return all;
  std::optional<TokenId> start = tokenizer.begin_token() ? tokenizer.begin_token() : tokenizer.end_token();
  require(start.has_value(),
          "an empty prompt needs a token to begin with, but the tokenizer has neither a begin nor an "
          "end token; give a prompt");
  return {*start};
}

std::vector<TokenId> end_tokens(const Tokenizer& tokenizer, const ModelConfig& config) {
  std::vector<TokenId> ids;
  if (tokenizer.end_token()) add(ids, *tokenizer.end_token());
  for (int64_t id : end_token_ids(config)) add(ids, id);
  return ids;
}

ModelDirectory::ModelDirectory(const std::string& path, const std::string& adapter_path)
    : config(read_model_config(path)),
      files(path),
      tokenizer(Tokenizer::load(path)),
      end_tokens(lathe::end_tokens(tokenizer, config)),
      generation(read_generation_config(path)) {
  require(tokenizer.vocabulary_size() <= config.vocab_size, path, ": the tokenizer has ", tokenizer.vocabulary_size(),
          " tokens but the model knows ", config.vocab_size, "; they do not belong together");
  if (!adapter_path.empty()) adapter.emplace(adapter_path, config).put_into(files);
  for (int64_t id : generation.eos_token_ids) add(end_tokens, id);
  take_starts(path);
}

/// Where texts of an encoder-decoder begin and end whatever the model says.
void ModelDirectory::take_starts(const std::string& path) {
  if (generation.decoder_start_token_id) config.decoder_start_token_id = *generation.decoder_start_token_id;
  if (generation.forced_bos_token_id) config.forced_bos_token_id = *generation.forced_bos_token_id;
  if (generation.forced_eos_token_id) config.forced_eos_token_id = *generation.forced_eos_token_id;
  for (auto [field, id] : {std::pair("decoder_start_token_id", config.decoder_start_token_id),
                           std::pair("forced_bos_token_id", config.forced_bos_token_id),
                           std::pair("forced_eos_token_id", config.forced_eos_token_id)})
    require(id >= -1 && id < config.vocab_size, path, ": ", field, " ", id, " is no token of the model's ",
            config.vocab_size);
}

}  // namespace lathe
