#include "lathe/data/output_directory.h"

#include <filesystem>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"
#include "lathe/data/shard_index.h"

namespace lathe::data {
namespace {

namespace fs = std::filesystem;

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool holds_something(const std::string& path) {
  return fs::exists(path) && !(fs::is_directory(path) && fs::is_empty(path));
}

}  // namespace

OutputDirectory::OutputDirectory(const std::string& path, bool replace) : path_(without_slash(path)) {
  require(!path_.empty(), "data: no output directory given");
  if (holds_something(path_)) {
    require(replace, path_, ": exists already: choose another --out, or replace it with --force");
    require(fs::exists(fs::path(path_) / ShardIndex::kFile), path_,
            ": is no prepared corpus, so --force does not replace it: choose another --out");
  }
  const fs::path parent = fs::path(path_).parent_path();
  std::error_code failure;
  if (!parent.empty()) fs::create_directories(parent, failure);
  temporary_ = temporary_name(path_);
  if (!failure) fs::create_directory(temporary_, failure);
  require(!failure, path_, ": cannot be made: ", failure.message());
}

OutputDirectory::~OutputDirectory() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void OutputDirectory::publish() {
  if (!holds_something(path_)) {
    publish_directory(temporary_, path_);
  } else {
    const std::string old = temporary_name(path_);
    fs::rename(path_, old);
    try {
      publish_directory(temporary_, path_);
    } catch (...) {
      fs::rename(old, path_);
      throw;
    }
    std::error_code ignored;
    fs::remove_all(old, ignored);
  }
  temporary_.clear();
}

}  // namespace lathe::data
