#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tokenize {

/// Texts by number whose bytes lie behind each other: hundreds of thousands of short ones take 8 bytes each besides.
class PackedTexts {
 public:
  void reserve(size_t texts);
  /// Gives text `number` these bytes; numbers below it that have none are empty. Views of before are invalid then.
  /// Throws Error beyond 4 GiB.
  void set(size_t number, std::string_view text);
  /// `number` < size().
  std::string_view operator[](size_t number) const {
    return {bytes_.data() + places_[number].begin, places_[number].size};
  }
  /// One more than the largest number.
  size_t size() const { return places_.size(); }
  void shrink_to_fit();

 private:
  struct Place {
    uint32_t begin = 0, size = 0;
  };
  std::string bytes_;
  std::vector<Place> places_;
};

}  // namespace lathe::tokenize
