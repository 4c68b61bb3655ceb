#include "lathe/cli/text_argument.h"

#include <nlohmann/json.hpp>

#include "lathe/base/error.h"

namespace lathe::cli {

TextArguments::TextArguments(std::vector<std::string> texts, const std::string& file, std::string field)
    : given_(std::move(texts)),
      path_(file),
      field_(std::move(field)),
      objects_(file.find(".jsonl") != std::string::npos) {
  require(!given_.empty() || !path_.empty(), "give texts, or a --file of them");
  if (!path_.empty()) lines_ = std::make_unique<LineReader>(path_);
}

bool TextArguments::next(std::vector<std::string>& texts, size_t most) {
  texts.clear();
  while (texts.size() < most && taken_ < given_.size()) texts.push_back(given_[taken_++]);
  for (std::string_view line; texts.size() < most && lines_ && lines_->next(line);) {
    if (!objects_) {
      texts.emplace_back(line);
      continue;
    }
    nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
    require(object.is_object() && object.contains(field_) && object[field_].is_string(), path_, ":", lines_->number(),
            ": no JSON object with a text \"", field_, "\"");
    texts.push_back(object[field_].get<std::string>());
  }
  return !texts.empty();
}

}  // namespace lathe::cli
