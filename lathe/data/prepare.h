#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lathe/data/document_reader.h"
#include "lathe/data/held_out_choice.h"
#include "lathe/data/shard_index.h"

namespace lathe::data {

struct PrepareOptions {
  std::vector<std::string> inputs;  // as find_text_files() takes them
  std::string tokenizer;            // as Tokenizer::load() takes it
  std::string output;               // the directory to make
  ReadOptions read;
  std::string end_of_document;  // a token put behind each document; empty: the tokenizer's end token
  bool deduplicate = false;
  bool shuffle = false;  // the documents
  uint64_t seed = 0;     // of the shuffle and of the choice of held-out documents
  HeldOutSize held_out;
  int64_t shard_tokens = int64_t{1} << 28;
  bool replace = false;  // an earlier corpus in `output`
  int threads = 0;       // that tokenize; 0: as many as lathe::threads()
};

/// How far prepare() is.
struct PrepareProgress {
  int64_t file_bytes = 0;  // 0 when unknown
  int64_t file_bytes_read = 0;
  int64_t text_bytes = 0;  // tokenized
  int64_t tokens = 0;
};

/// What prepare() made and where its time went. Stages overlap; `tokenizing` adds up all threads.
struct PrepareReport {
  ShardIndex index;
  double reading_seconds = 0;
  double tokenizing_seconds = 0;
  double spooling_seconds = 0;
  double arranging_seconds = 0;
  double all_seconds = 0;
};

/// Turns text into token shards: reads and tokenizes in parallel into a spool, then writes train and held-out shards in
/// their final order, and puts the finished directory in place in one step. Memory does not grow with the text but
/// for 32 bytes a document. `output` is never seen half-written; another corpus there stays until the new one is whole.
/// `progress` is called from the calling thread. Throws Error for what is wrong with the input, the tokenizer or the
/// disk.
PrepareReport prepare(const PrepareOptions& options, const std::function<void(const PrepareProgress&)>& progress);

}  // namespace lathe::data
