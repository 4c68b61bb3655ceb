#include "lathe/train/manifest.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/base/hash.h"
#include "lathe/base/json.h"
#include "lathe/base/mapped_file.h"

namespace lathe {
namespace {

using nlohmann::json;

json to_json(const Manifest& manifest) {
  json files = json::object();
  for (const auto& [name, file] : manifest.files) files[name] = {{"bytes", file.bytes}, {"xxh3", file.checksum}};
  return {{"format", Manifest::kFormat}, {"step", manifest.step}, {"files", files}};
}

Manifest::File summed(const std::string& path) {
  MappedFile file(path, MappedFile::Access::sequential);
  return {file.size(), hex(hash64(file.bytes()))};
}

Manifest parse(const json& text, const std::string& path) {
  int format = text.at("format").get<int>();
  require(format <= Manifest::kFormat, path, ": format ", format, " is newer than ", Manifest::kFormat,
          ", the newest that this lathe reads");
  Manifest manifest{text.at("step").get<int64_t>(), {}};
  for (const auto& [name, file] : text.at("files").items())
    manifest.files[name] = {file.at("bytes").get<int64_t>(), file.at("xxh3").get<std::string>()};
  std::string stored = text.at("xxh3").get<std::string>(), found = hex(hash64(to_json(manifest).dump()));
  require(stored == found, path, " is damaged: its checksum is ", found, " but it says ", stored);
  return manifest;
}

}  // namespace

void write_manifest(const std::string& directory, int64_t step) {
  Manifest manifest{step, {}};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    if (entry.is_regular_file())
      manifest.files[entry.path().lexically_relative(directory).string()] = summed(entry.path().string());
  json text = to_json(manifest);
  text["xxh3"] = hex(hash64(to_json(manifest).dump()));
  replace_file(directory + "/" + Manifest::kFile, text.dump(1) + "\n");
}

Manifest read_manifest(const std::string& directory) {
  std::string path = directory + "/" + Manifest::kFile;
  MappedFile file(path);
  try {
    return parse(parse_json(file.view(), path), path);
  } catch (const json::exception& error) {
    throw Error(text(path, " is damaged: ", error.what()));
  }
}

void verify_manifest(const std::string& directory) {
  for (const auto& [name, expected] : read_manifest(directory).files) {
    std::string path = directory + "/" + name;
    Manifest::File found = summed(path);
    require(found.bytes == expected.bytes, path, " is damaged: it has ", found.bytes, " bytes but was written with ",
            expected.bytes);
    require(found.checksum == expected.checksum, path, " is damaged: its checksum is ", found.checksum,
            " but it was written with ", expected.checksum);
  }
}

}  // namespace lathe
