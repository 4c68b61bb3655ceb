#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "lathe/base/error.h"
#include "lathe/models/config.h"
#include "lathe/ops/rotary.h"

namespace lathe {

/// `value` = field `name` of config.json, unless that is missing or null. For bool, int64_t, double, std::string and
/// lists. Throws Error naming the field when it is of another type; whole numbers may be written 1.0.
template <class T>
void read_field(const nlohmann::json& json, const char* name, T& value);
/// The same, where `fallback` is what a missing or null field means.
template <class T>
T field_or(const nlohmann::json& json, const char* name, T fallback);

/// Throws Error when config.json has field `name` and says anything but `only`, which is all that the family can do.
template <class T>
void require_field(const nlohmann::json& json, const ModelConfig& c, const char* name, const T& only);

/// The fields that LLaMA's config.json has and its descendants took over, but for biases; what is missing stays as it
/// is in `c`. Reads positions with read_rope().
void read_llama_fields(const nlohmann::json& json, ModelConfig& c);
void write_llama_fields(const ModelConfig& c, nlohmann::json& json);

/// rope_theta, partial_rotary_factor and rope_scaling of `c` from the fields of those names and from rope_parameters,
/// which stands for all three in files of transformers 5. Throws Error for a type or key that is not known.
void read_rope(const nlohmann::json& json, ModelConfig& c);
/// The same from one such object, which error messages call `field`.
void read_rope_object(const nlohmann::json& rope, const char* field, ModelConfig& c);
void write_rope(const ModelConfig& c, nlohmann::json& json);

/// What `c` says of positions, for all of its heads alike.
RotarySpec rotary_spec(const ModelConfig& c);

/// Throws Error for more layers than any model has, before something is made for each.
void require_few_layers(const ModelConfig& c);

/// layer_types, sliding_window, and where the file has them the older use_sliding_window and max_window_layers.
void read_windows(const nlohmann::json& json, ModelConfig& c);
void write_windows(const ModelConfig& c, nlohmann::json& json);

}  // namespace lathe
