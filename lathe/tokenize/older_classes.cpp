#include "lathe/tokenize/older_classes.h"

#include <memory>

#include "lathe/tokenize/older_categories.h"

namespace lathe::tokenize {
namespace {

void mark(uint8_t* classes, const CodepointRange* ranges, size_t count, OlderClass bit) {
  for (size_t i = 0; i < count; ++i) {
    for (uint32_t code = ranges[i].first; code <= ranges[i].last; ++code) classes[code] |= bit;
  }
}

std::unique_ptr<uint8_t[]> make_classes() {
  std::unique_ptr<uint8_t[]> classes(new uint8_t[0x110000]());
  classes[0] = kIsControl;
  mark(classes.get(), kPunctuation, kPunctuationCount, kIsPunctuation);
  mark(classes.get(), kControls, kControlsCount, kIsControl);
  mark(classes.get(), kNonspacingMarks, kNonspacingMarksCount, kIsNonspacingMark);
  mark(classes.get(), kMarks, kMarksCount, kIsMark);
  mark(classes.get(), kUndecomposed, kUndecomposedCount, kIsUndecomposed);
  return classes;
}

}  // namespace

uint8_t older_class(uint32_t code) {
  static const std::unique_ptr<uint8_t[]> classes = make_classes();
  return code < 0x110000 ? classes[code] : uint8_t{0};
}

}  // namespace lathe::tokenize
