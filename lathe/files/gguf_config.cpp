#include "lathe/files/gguf_config.h"

#include "lathe/base/error.h"
#include "lathe/models/family.h"

namespace lathe {
namespace {

int64_t vocabulary_of(const GgufFile& file) {
  const GgufTensor* table = file.find("token_embd.weight");
  require(table != nullptr && table->shape.size() == 2, file.path(),
          ": no tensor \"token_embd.weight\" of two extents");
  return table->shape[0];
}

}  // namespace

ModelConfig gguf_model_config(const GgufFile& file) {
  const Family& family = family_of_gguf(file);
  const GgufFields& fields = file.fields();
  ModelConfig config;
  config.model_type = family.model_type;
  config.vocab_size = vocabulary_of(file);
  config.tie_word_embeddings = !file.find("output.weight");
  config.bos_token_id = fields.integer("tokenizer.ggml.bos_token_id", -1);
  config.eos_token_id = fields.integer("tokenizer.ggml.eos_token_id", -1);
  read_gguf_sizes(file, config);
  family.gguf->read(file, config);
  try {
    config = completed(config);
  } catch (const Error& error) {
    throw Error(text(file.path(), ": ", error.what()));
  }
  require_followed(file, *family.gguf, config);
  return config;
}

}  // namespace lathe
