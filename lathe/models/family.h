#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lathe/comm/communicator.h"
#include "lathe/models/config.h"
#include "lathe/models/gguf_form.h"
#include "lathe/nn/module.h"

namespace lathe {

/// How a family's models go through a text: token after token (decoder), whole texts at once (encoder), or one text
/// read whole and another written from it.
enum class Reading : uint8_t { decoder, encoder, encoder_decoder };

/// One family of models; provided by its one file.
struct Family {
  std::string model_type;                 ///< as in config.json
  std::string architecture;               ///< the class of transformers that opens it, where a config names none
  std::string tensor_prefix;              ///< files may leave it out: "transformer."
  void (*complete)(ModelConfig& config);  ///< fills zeros; throws Error naming contradictory fields
  std::unique_ptr<Model> (*make)(const ModelConfig& config, Mesh& mesh);
  void (*read)(const nlohmann::json& json, ModelConfig& config);   ///< from config.json
  void (*write)(const ModelConfig& config, nlohmann::json& json);  ///< to config.json
  std::optional<GgufForm> gguf = {};                               ///< nothing: GGUF files do not hold it
  Reading reading = Reading::decoder;
  bool global_tokens = false;  ///< its attention has windows, and tokens that see beyond them: see global_tokens.h
};

/// Adds a family; used at namespace scope. Returns true.
bool provide_family(const Family& family);

/// Throws Error naming the families there are, and the nearest, for an unknown `model_type`.
const Family& family_named(const std::string& model_type);
std::vector<std::string> family_names();

/// A model of declared tensors, without bytes. Throws Error where fields of `config` contradict each other.
std::unique_ptr<Model> make_model(ModelConfig config, Mesh& mesh = mesh_of_one());

/// `config` with everything filled in.
ModelConfig completed(ModelConfig config);

}  // namespace lathe
