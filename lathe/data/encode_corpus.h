#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "lathe/data/corpus_reader.h"
#include "lathe/data/prepare.h"
#include "lathe/data/spool.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::data {

/// How many bytes a token of this vocabulary takes in shards: 2, or 4 beyond 65,536.
int token_bytes_of(const Tokenizer& tokenizer);

/// Reads, tokenizes and spools all of `reader`, on one, `threads` and this thread; each kept document ends with
/// `end_of_document` if there is one. Adds its times to `report`.
void encode_corpus(CorpusReader& reader, const Tokenizer& tokenizer, std::optional<TokenId> end_of_document,
                   int threads, Spool& spool, PrepareReport& report,
                   const std::function<void(const PrepareProgress&)>& progress);

}  // namespace lathe::data
