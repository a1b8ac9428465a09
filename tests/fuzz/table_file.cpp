// SPDX-License-Identifier: Apache-2.0
//
// Saved tables. The first byte says how the rest becomes a file: as it stands, which the checksums refuse nearly always; or
// as a body behind a head that is right, so that what is decoded is looked at too. A file is refused with a reason and
// leaves no table, or is a table that, saved again and loaded again, is the same.
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include <coppice/ets.hpp>

#include "fuzz/fuzz.hpp"

namespace {

using namespace coppice;
using fuzz::must;

struct Row {
  std::string name;
  std::vector<std::pair<int, std::optional<std::string>>> parts;
  std::map<std::string, double> numbers;
  bool on = false;
  friend bool operator==(const Row&, const Row&) = default;
};

using Nothings = std::vector<std::tuple<>>;  // whose elements take no bytes

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t c = ~0U;
  for (const char byte : bytes) {
    c ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xedb88320U ^ (c >> 1) : c >> 1;
  }
  return ~c;
}

// The head that belongs to a name and a body: ets_file.cpp.
std::string file_of(std::uint64_t schema, fuzz::Bytes& bytes) {
  std::string head("coppets\n");
  detail::encode(head, std::uint32_t{1});
  for (int i = 0; i < 3; ++i) detail::encode(head, static_cast<std::uint8_t>(bytes.byte() % 4));
  detail::encode(head, std::uint8_t{0});
  detail::encode(head, schema);
  const std::uint8_t count = bytes.byte();
  detail::encode(head, count == 255 ? bytes.word() : std::uint64_t{count});
  const std::string name(bytes.piece());
  const std::string body(bytes.all());
  detail::encode(head, static_cast<std::uint32_t>(name.size()));
  detail::encode(head, static_cast<std::uint64_t>(body.size()));
  detail::encode(head, crc32(name + body));
  detail::encode(head, crc32(head));
  return head + name + body;
}

void write(const std::string& path, std::string_view bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  must(file != nullptr, "the file cannot be written");
  must(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(), "the file cannot be written");
  std::fclose(file);
}

template <class Key, class Value>
void load(const std::string& path) {
  using Table = ets::Table<Key, Value>;
  const Result<Table> table = Table::load(path);
  if (!table) {
    must(!table.reason().is_normal(), "a file is refused without a reason");
    must(ets::all().empty(), "a table is left of a file that was refused");
    return;
  }
  const auto objects = table.value().to_vector();
  must(static_cast<bool>(table.value().save(path)), "a table that was loaded cannot be saved");
  table.value().destroy();
  const Result<Table> again = Table::load(path);
  must(static_cast<bool>(again), "a table that was saved cannot be loaded");
  must(again.value().to_vector().size() == objects.size(), "a table that was saved has another size");
  again.value().destroy();
}

}  // namespace

void fuzz::table_file(std::string_view input) {
  static const std::string path =
      (std::filesystem::temp_directory_path() / ("coppice-fuzz-" + std::to_string(::getpid()) + ".ets")).string();
  Bytes bytes(input);
  const std::uint8_t how = bytes.byte();
  switch (how % 4) {
    case 0: write(path, bytes.all()); break;
    case 1: write(path, file_of(detail::schema_of<std::uint32_t, std::string>(), bytes)); break;
    case 2: write(path, file_of(detail::schema_of<std::string, Row>(), bytes)); break;
    default: write(path, file_of(detail::schema_of<std::uint32_t, Nothings>(), bytes)); break;
  }
  in_process([&] {
    (void)ets::file_info(path);
    load<std::uint32_t, std::string>(path);
    load<std::string, Row>(path);
    load<std::uint32_t, Nothings>(path);
  });
  ::unlink(path.c_str());
}
