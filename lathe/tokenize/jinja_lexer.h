#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::jinja {

struct Token {
  enum class Kind : uint8_t {
    data,
    print_begin,
    print_end,
    block_begin,
    block_end,
    name,
    integer,
    floating,
    string,
    op,
    end
  };
  Kind kind;
  std::string text;  ///< of a string: what it means, not how it is written
  int line;
};

/// The tokens of a template, with whitespace around tags removed as Jinja does with trim_blocks and lstrip_blocks;
/// comments are left out. `name` begins messages. Throws Error, naming the line, for what is no token and for a tag, a
/// comment or a string that does not end.
std::vector<Token> tokens_of(std::string_view source, const std::string& name);

}  // namespace lathe::jinja
