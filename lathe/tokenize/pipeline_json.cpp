#include "lathe/tokenize/pipeline_json.h"

#include "lathe/base/error.h"

namespace lathe::tokenize {
namespace {

constexpr int kDeepest = 8;  // Sequences in Sequences

void collect(const JsonFields& fields, std::string_view list, int depth, std::vector<JsonFields>& all) {
  if (fields.type() != "Sequence") {
    all.push_back(fields);
    return;
  }
  require(depth < kDeepest, fields.place(), ": more than ", kDeepest, " Sequences inside each other");
  size_t i = 0;
  for (const simdjson::dom::element element : fields.array(list)) {
    collect(JsonFields(element, fields.place(list) + '[' + std::to_string(i++) + ']'), list, depth + 1, all);
  }
}

}  // namespace

std::vector<JsonFields> pipeline_members(const JsonFields& fields, std::string_view list) {
  std::vector<JsonFields> all;
  collect(fields, list, 0, all);
  return all;
}

/// Files before 2024 have "add_prefix_space" where newer ones have "prepend_scheme".
Metaspace read_metaspace_fields(const JsonFields& fields) {
  const std::string_view scheme =
      fields.text("prepend_scheme", fields.flag("add_prefix_space", true) ? "always" : "never");
  require(scheme == "always" || scheme == "first" || scheme == "never", fields.place("prepend_scheme"), " '", scheme,
          "' is none of always, first and never");
  Metaspace metaspace;
  metaspace.replacement = fields.text("replacement", "\xE2\x96\x81");
  require(!metaspace.replacement.empty(), fields.place("replacement"), " is empty");
  metaspace.prepends = scheme != "never";
  metaspace.only_start = scheme == "first";
  metaspace.splits = fields.flag("split", true);
  return metaspace;
}

Pipeline read_pipeline(const JsonFields& file) {
  Pipeline pipeline;
  read_normalizer(file, pipeline);
  read_pre_tokenizer(file, pipeline);
  return pipeline;
}

}  // namespace lathe::tokenize
