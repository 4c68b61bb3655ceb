#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lathe {

/// Writes an event file that TensorBoard reads: scalars by tag and step. Every record is flushed as it is written.
/// (Format: TFRecord frames of Event messages, in protobuf's wire form.)
class EventWriter {
 public:
  /// Begins a file of its own in `directory`, for steps from `first_step` on: TensorBoard forgets what other files say
  /// about these. Throws Error when it cannot be written.
  EventWriter(const std::string& directory, int64_t first_step);

  void scalars(int64_t step, std::span<const std::pair<std::string_view, double>> values);

 private:
  void record(const std::string& event);

  std::string path_;
  std::ofstream file_;
};

/// CRC-32 with Castagnoli's polynomial (RFC 3720).
uint32_t crc32c(std::string_view bytes);

}  // namespace lathe
