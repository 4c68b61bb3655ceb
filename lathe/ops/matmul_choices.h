#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lathe {

/// What a product on a GPU may use besides its operands; each takes it, however small, so that plans are exact.
constexpr int64_t kGpuProductWorkspace = int64_t{32} << 20;

/// While it lives, this thread's products on a GPU that have no choice yet are measured at their first call: a library
/// offers several algorithms, each is timed on the operands of the call, and the fastest is used from then on. This
/// waits for the device, so it is for the first step of a run, outside of any graph capture. Without it, and for
/// products that add to their output, the library's first suggestion is used: as repeatable, perhaps slower.
/// At its end the choices go to a file of this device and library under $LATHE_CACHE, $XDG_CACHE_HOME/lathe or
/// ~/.cache/lathe, where later programs find them; where that cannot be written, a log line says so once.
class MeasureProducts {
 public:
  MeasureProducts();
  ~MeasureProducts();
  MeasureProducts(const MeasureProducts&) = delete;
  static bool active();  ///< on this thread

 private:
  bool before_;
};

/// The choices that products of this program use, a line each; empty without any. A run saves it, because another
/// algorithm may round otherwise.
std::string used_product_choices();
/// Puts such a text before what the cache file says. Choices for another device or version of the library do nothing.
/// Throws Error when `text` is something else. Call before the first product.
void use_product_choices(std::string_view text);

/// For the kernels that choose; any thread. `device` names the card, the library and its version.
/// The algorithm for `product`, as words that the library understands; empty where nothing is known. `microseconds` of
/// 0: not measured, and so not for the cache file.
std::string chosen_algorithm(const std::string& device, const std::string& product);
void choose_algorithm(const std::string& device, const std::string& product, const std::string& algorithm,
                      double microseconds);

}  // namespace lathe
