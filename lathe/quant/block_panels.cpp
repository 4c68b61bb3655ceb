#include "lathe/quant/block_panels.h"

#include <map>
#include <utility>

namespace lathe {
namespace {

using Key = std::pair<Isa, std::string_view>;

std::map<Key, BlockPanels>& all_panels() {
  static std::map<Key, BlockPanels> panels;
  return panels;
}

}  // namespace

bool provide_block_panels(Isa isa, std::string_view format, const BlockPanels& panels) {
  return all_panels().emplace(Key{isa, format}, panels).second;
}

const BlockPanels* find_block_panels(Isa isa, const BlockFormat& format) {
  auto found = all_panels().find({isa, format.name});
  return found == all_panels().end() ? nullptr : &found->second;
}

}  // namespace lathe
