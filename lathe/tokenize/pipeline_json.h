#pragma once

#include <string>
#include <vector>

#include "lathe/tokenize/json_fields.h"
#include "lathe/tokenize/parts.h"

namespace lathe::tokenize {

/// What stands before the model in a tokenizer.json.
struct Pipeline {
  NormalizerPointer normalizer;  // null for none
  std::vector<PreTokenizerStep> steps;
  bool bytes = false;     // words are bytes, spelt in the characters of byte_alphabet.h
  bool spelt = false;     // steps spell them; otherwise the model has to
  bool rewrites = false;  // some text does not come back as it was
  std::string settings;   // all of this as text, the same for files that differ in form only
};

/// Reads normalizer and pre_tokenizer. Throws Error, naming it, for a kind that is not built here.
Pipeline read_pipeline(const JsonFields& file);
void read_normalizer(const JsonFields& file, Pipeline& pipeline);
void read_pre_tokenizer(const JsonFields& file, Pipeline& pipeline);

/// The members of a Sequence, also of Sequences in it, or the thing itself.
std::vector<JsonFields> pipeline_members(const JsonFields& fields, std::string_view list);

/// The fields of a Metaspace, of any age.
struct Metaspace {
  std::string replacement;
  bool prepends, only_start, splits;
};
Metaspace read_metaspace_fields(const JsonFields& fields);

/// Reads post_processor, truncation and padding.
void read_post_processor(const JsonFields& file, Tokenizer::Parts& parts);

}  // namespace lathe::tokenize
