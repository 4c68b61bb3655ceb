#include "lathe/train/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "lathe/base/durable_file.h"
#include "lathe/base/error.h"

namespace lathe {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? (value >> 1) ^ 0x82f63b78u : value >> 1;
    table[i] = value;
  }
  return table;
}

/// Little-endian, as all of the format.
template <class T>
void append(std::string& to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) to += char(value >> (8 * i));
}

// Protobuf: a field is its number and wire type, then the value.
void append_varint(std::string& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += char(value | 0x80);
  to += char(value);
}
void append_bytes(std::string& to, int field, std::string_view bytes) {
  append_varint(to, uint64_t(field) << 3 | 2);
  append_varint(to, bytes.size());
  to += bytes;
}
void append_number(std::string& to, int field, uint64_t value) {
  append_varint(to, uint64_t(field) << 3);
  append_varint(to, value);
}
void append_float(std::string& to, int field, float value) {
  append_varint(to, uint64_t(field) << 3 | 5);
  append(to, std::bit_cast<uint32_t>(value));
}
void append_double(std::string& to, int field, double value) {
  append_varint(to, uint64_t(field) << 3 | 1);
  append(to, std::bit_cast<uint64_t>(value));
}

/// Event { wall_time = 1, step = 2 }
std::string begin_event(int64_t step) {
  std::string event;
  append_double(event, 1, now());
  append_number(event, 2, uint64_t(step));
  return event;
}

/// TFRecord's: a sum of data that holds sums itself would be weak.
uint32_t masked(uint32_t sum) { return ((sum >> 15) | (sum << 17)) + 0xa282ead8u; }

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = make_table();
  uint32_t sum = 0xffffffffu;
  for (char byte : bytes) sum = table[(sum ^ uint8_t(byte)) & 0xff] ^ (sum >> 8);
  return ~sum;
}

EventWriter::EventWriter(const std::string& directory, int64_t first_step)
    : path_(text(directory, "/events.out.tfevents.", int64_t(now() * 1000), ".", host_name(), ".", ::getpid())),
      file_(path_, std::ios::binary | std::ios::app) {
  require(file_.good(), "cannot write ", path_);
  std::string version = begin_event(0);
  append_bytes(version, 3, "brain.Event:2");
  record(version);
  std::string session;
  append_number(session, 1, 1);  // SessionLog { status = START }
  std::string start = begin_event(first_step);
  append_bytes(start, 7, session);
  record(start);
}

void EventWriter::scalars(int64_t step, std::span<const std::pair<std::string_view, double>> values) {
  std::string summary;
  for (const auto& [tag, number] : values) {
    std::string value;  // Value { tag = 1, simple_value = 2 }
    append_bytes(value, 1, tag);
    append_float(value, 2, float(number));
    append_bytes(summary, 1, value);
  }
  std::string event = begin_event(step);
  append_bytes(event, 5, summary);
  record(event);
}

void EventWriter::record(const std::string& event) {
  std::string length;
  append(length, uint64_t(event.size()));
  std::string frame = length;
  append(frame, masked(crc32c(length)));
  frame += event;
  append(frame, masked(crc32c(event)));
  append_to(file_, path_, frame);
}

}  // namespace lathe
