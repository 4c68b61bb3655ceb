#pragma once

#include <cstdint>
#include <vector>

#include "lathe/data/spool.h"
#include "lathe/tokenize/tokenizer.h"

namespace lathe::data {

/// How much text to keep away from training: a fraction of it or a number of bytes; neither: nothing.
struct HeldOutSize {
  double fraction = 0;
  int64_t bytes = 0;
};

/// Fewer documents than this are held out as a contiguous tail, more as whole documents chosen by a seed.
constexpr size_t kFewDocuments = 20;

/// Decides which documents of the spool are held out: one flag each. At least as much text as asked is held out, the
/// last document taken may overshoot. With few documents, or where whole ones do not come near the size, the text's
/// tail is held out and the document it begins in is cut: behind a blank line near that place, else behind a line, else
/// between two characters. Throws Error when nothing would be left to train on.
std::vector<bool> choose_held_out(Spool& spool, const Tokenizer& tokenizer, const HeldOutSize& size, uint64_t seed);

}  // namespace lathe::data
