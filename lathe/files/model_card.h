#pragma once

#include <string>

namespace lathe {

/// What a model says of itself besides its shapes: general.name and general.license of a GGUF file, or the head of a
/// directory's README.md. Empty where it says nothing.
struct ModelCard {
  std::string name, license;
};

ModelCard read_model_card(const std::string& model);
/// The text of a README.md that says the same.
std::string model_card_text(const ModelCard& card);

}  // namespace lathe
