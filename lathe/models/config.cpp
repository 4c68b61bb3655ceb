#include "lathe/models/config.h"

namespace lathe {

int64_t window_of(const ModelConfig& config, int64_t layer) {
  if (!config.attention_window.empty()) return config.attention_window[size_t(layer)] / 2 + 1;
  if (config.layer_types.empty()) return config.sliding_window;
  return config.layer_types[size_t(layer)] == "sliding_attention" ? config.sliding_window : 0;
}

}  // namespace lathe
