#include "lathe/tokenize/packed_texts.h"

#include "lathe/base/error.h"

namespace lathe::tokenize {

constexpr size_t kUsualBytes = 8;  // of a token

void PackedTexts::reserve(size_t texts) {
  places_.reserve(texts);
  bytes_.reserve(texts * kUsualBytes);
}

void PackedTexts::set(size_t number, std::string_view text) {
  require(text.size() <= UINT32_MAX - bytes_.size(), "the texts of tokens take more than 4 GiB");
  if (number >= places_.size()) places_.resize(number + 1);
  places_[number] = {uint32_t(bytes_.size()), uint32_t(text.size())};
  bytes_ += text;
}

void PackedTexts::shrink_to_fit() {
  bytes_.shrink_to_fit();
  places_.shrink_to_fit();
}

}  // namespace lathe::tokenize
