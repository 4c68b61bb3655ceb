#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

/// Fewest insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
int edit_distance(std::string_view from, std::string_view to);

/// The name most like `name`, compared without case, '-' as '_'; nullopt when none is close enough to be meant.
std::optional<std::string> nearest(std::string_view name, std::span<const std::string> names);

/// The end of an error message about an unknown name: "; did you mean 'learning_rate'?", or, when nothing is close,
/// "; known are a, b, c" (the first dozen). Empty without names.
std::string did_you_mean(std::string_view name, std::span<const std::string> names);

}  // namespace lathe
