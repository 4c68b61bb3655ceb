// lathe's side of bench/tokenizer: encodes texts batched and one by one, decodes them, and writes their ids.
//   tokenizer_bench TOKENIZER TEXTS IDS     TEXTS and IDS are lists: each item is its length in 4 bytes and its bytes
#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>

#include "lathe/base/error.h"
#include "lathe/base/text_input.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe {
namespace {

using Ids = std::vector<std::vector<TokenId>>;

std::vector<std::string_view> unpacked(const std::string& all) {
  std::vector<std::string_view> items;
  for (size_t at = 0; at < all.size();) {
    uint32_t size = 0;
    std::memcpy(&size, all.data() + at, sizeof(size));
    items.push_back(std::string_view(all).substr(at + sizeof(size), size));
    at += sizeof(size) + size;
  }
  return items;
}

void write_packed(const std::string& path, const Ids& items) {
  std::ofstream file(path, std::ios::binary);
  for (const std::vector<TokenId>& ids : items) {
    const auto bytes = static_cast<uint32_t>(ids.size() * sizeof(TokenId));
    file.write(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
    file.write(reinterpret_cast<const char*>(ids.data()), bytes);
  }
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(const std::string& tokenizer_path, const std::string& texts_path, const std::string& ids_path) {
  const Tokenizer tokenizer = Tokenizer::load(tokenizer_path);
  const std::string all = read_text(texts_path);
  const std::vector<std::string_view> texts = unpacked(all);
  Ids batched, single;
  const double batched_seconds = seconds_of([&] { batched = tokenizer.encode_batch(texts); });
  const double single_seconds = seconds_of([&] {
    for (const std::string_view text : texts) single.push_back(tokenizer.encode(text));
  });
  require(single == batched, "batched and single encoding differ");
  std::vector<std::string> decoded;
  const double decode_seconds = seconds_of([&] {
    for (const std::vector<TokenId>& ids : batched) decoded.push_back(tokenizer.decode(ids));
  });
  require(!tokenizer.lossless() || std::equal(decoded.begin(), decoded.end(), texts.begin(), texts.end()),
          "a decoded text is not the one encoded");
  write_packed(ids_path, batched);
  std::cout << "{\"batched\": " << batched_seconds << ", \"single\": " << single_seconds
            << ", \"decode\": " << decode_seconds << "}\n";
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: tokenizer_bench TOKENIZER TEXTS IDS\n";
    return 2;
  }
  try {
    lathe::run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << "tokenizer_bench: " << error.what() << '\n';
    return 1;
  }
}
