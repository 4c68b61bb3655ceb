#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lathe/tokenize/tokenizer.h"
#include "lathe/tokenize/vocabulary.h"

namespace lathe::tokenize {

/// A token that a file names.
struct NamedToken {
  std::string role;  // "bos_token"; empty: none
  AddedToken token;  // no content: the file says that there is none
  bool has_id = false;
};

/// A token that a kind of tokenizer has unless files say otherwise.
struct UsualToken {
  const char* role;
  const char* spelling;
};

/// What the files beside a vocabulary say of it: tokenizer_config.json, and unless that lists all added tokens,
/// special_tokens_map.json and added_tokens.json.
struct VocabularySettings {
  /// Whose way to cut texts it is, as transformers calls its classes, less "Tokenizer" and "Fast": "Bert", "Roberta",
  /// "GPT2", "Qwen2"; empty: nothing says.
  std::string tokenizer_class;
  std::vector<NamedToken> tokens;
  bool has_config = false;  // tokenizer_config.json is there
  std::optional<bool> do_lower_case, strip_accents, tokenize_chinese_chars;
  std::optional<bool> add_bos_token, add_eos_token, add_prefix_space, legacy;
  std::optional<int64_t> extra_ids;

  /// The spelling of the token of this role, `usual` where no file says one; empty: there is none.
  std::string name(const std::string& role, const std::string& usual = "") const;
};

/// Reads those that `directory` has. Throws Error naming the file and the field that is of another type.
VocabularySettings read_vocabulary_settings(const std::string& directory);

/// The class that transformers takes for the model_type in `directory`/config.json; empty where there is none, or none
/// that is known here.
std::string tokenizer_class_of_model(const std::string& directory);

/// The added tokens of a vocabulary: the usual ones that it has and all that files name. Those that have no id
/// anywhere get the next ones behind the vocabulary, as in transformers.
std::vector<AddedToken> added_tokens_of(const VocabularySettings& settings, const std::vector<UsualToken>& usual,
                                        const Vocabulary& vocabulary);

}  // namespace lathe::tokenize
