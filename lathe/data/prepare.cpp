#include "lathe/data/prepare.h"

#include <chrono>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/data/encode_corpus.h"
#include "lathe/data/output_directory.h"
#include "lathe/data/sample_order.h"
#include "lathe/data/split_writer.h"

namespace lathe::data {
namespace {

std::optional<TokenId> end_token(const Tokenizer& tokenizer, const std::string& asked) {
  if (asked.empty()) return tokenizer.end_token();
  const std::optional<TokenId> id = tokenizer.id(asked);
  require(id.has_value(), "--end-token: the tokenizer has no token \"", asked, "\"");
  return id;
}

/// Writes the documents whose flag is `wanted`, in the order of `place`.
template <class Place>
SplitIndex write_split(Spool& spool, SplitWriter& writer, const std::vector<bool>& held_out, bool wanted, Place place) {
  for (size_t i = 0; i < held_out.size(); ++i) {
    const size_t document = place(i);
    if (held_out[document] == wanted) spool.copy_document(document, writer);
  }
  return writer.finish();
}

/// Writes both splits of what is in the spool.
void arrange(Spool& spool, const std::vector<bool>& held_out, const PrepareOptions& options,
             const std::string& directory, ShardIndex& index) {
  SplitWriter train(directory, "train", index.token_bytes, options.shard_tokens);
  SplitWriter rest(directory, "held-out", index.token_bytes, options.shard_tokens);
  const Permutation shuffled(held_out.size(), derive_key(options.seed, 0x73687566));
  const auto in_order = [](size_t i) { return i; };
  const auto in_shuffled_order = [&](size_t i) { return static_cast<size_t>(shuffled(i)); };
  index.train = options.shuffle ? write_split(spool, train, held_out, false, in_shuffled_order)
                                : write_split(spool, train, held_out, false, in_order);
  index.held_out = write_split(spool, rest, held_out, true, in_order);
  index.largest_token = std::max(train.largest_token(), rest.largest_token());
}

void count_sources(const std::vector<std::string>& files, const std::vector<SpooledDocument>& documents,
                   ShardIndex& index) {
  for (const std::string& file : files) index.sources.push_back({file, 0, 0});
  for (const SpooledDocument& document : documents) {
    ++index.sources[static_cast<size_t>(document.source)].documents;
    index.sources[static_cast<size_t>(document.source)].bytes += document.bytes;
  }
}

ShardIndex describe(const Tokenizer& tokenizer, std::optional<TokenId> end_of_document, int64_t shard_tokens) {
  ShardIndex index;
  index.tokenizer_file = "tokenizer.json";
  index.tokenizer_hash = tokenizer.hash();
  index.vocabulary_size = tokenizer.vocabulary_size();
  if (end_of_document) index.end_of_document = *end_of_document;
  index.token_bytes = token_bytes_of(tokenizer);
  index.shard_tokens = shard_tokens;
  return index;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

PrepareReport prepare(const PrepareOptions& options, const std::function<void(const PrepareProgress&)>& progress) {
  const auto start = std::chrono::steady_clock::now();
  require(options.shard_tokens >= 1, "--shard-tokens: must be at least 1, is ", options.shard_tokens);
  CorpusReader reader(find_text_files(options.inputs), options.read, options.deduplicate);
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  const std::optional<TokenId> end_of_document = end_token(tokenizer, options.end_of_document);
  OutputDirectory output(options.output, options.replace);
  tokenizer.save(output.temporary());

  PrepareReport report;
  report.index = describe(tokenizer, end_of_document, options.shard_tokens);
  Spool spool(output.temporary(), report.index.token_bytes);
  encode_corpus(reader, tokenizer, end_of_document, options.threads, spool, report, progress);
  require(!spool.documents().empty(), "data: the input holds no text (", reader.files().size(), " file(s), ",
          reader.left_out().empty, " empty document(s))");
  report.index.left_out = reader.left_out();
  count_sources(reader.files(), spool.documents(), report.index);

  const auto arranging = std::chrono::steady_clock::now();
  const std::vector<bool> held_out = choose_held_out(spool, tokenizer, options.held_out, options.seed);
  arrange(spool, held_out, options, output.temporary(), report.index);
  replace_file(output.temporary() + "/" + ShardIndex::kFile, format_index(report.index));
  output.publish();
  report.arranging_seconds = seconds_since(arranging);
  report.all_seconds = seconds_since(start);
  return report;
}

}  // namespace lathe::data
