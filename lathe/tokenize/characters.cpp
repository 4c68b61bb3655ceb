#include "lathe/tokenize/characters.h"

#include <memory>

#include "lathe/tokenize/character_ranges.h"

namespace lathe::tokenize {
namespace {

void mark(uint8_t* classes, const CodepointRange* ranges, size_t count, CharacterClass kind) {
  for (size_t i = 0; i < count; ++i) {
    for (uint32_t code = ranges[i].first; code <= ranges[i].last; ++code) classes[code] |= kind;
  }
}

const uint8_t* make_classes() {
  static const std::unique_ptr<uint8_t[]> classes(new uint8_t[0x110000]());
  mark(classes.get(), kLetters, kLettersCount, kLetter);
  mark(classes.get(), kNumbers, kNumbersCount, kNumber);
  mark(classes.get(), kWhitespace, kWhitespaceCount, kSpace);
  mark(classes.get(), kWordCharacters, kWordCharactersCount, kWord);
  return classes.get();
}

}  // namespace

const uint8_t* const kClasses = make_classes();

}  // namespace lathe::tokenize
