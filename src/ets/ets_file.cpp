// SPDX-License-Identifier: Apache-2.0
//
// Files of saved tables. All integers little-endian.
//
//   bytes 0..7    "coppets\n"
//   8..11         version, 1
//   12..15        type, protection, named (one byte each), 0
//   16..23        schema: a hash of the types of key and value
//   24..31        number of objects
//   32..35        length of the name
//   36..43        length of the body
//   44..47        CRC-32 of the name and the body
//   48..51        CRC-32 of bytes 0..47
//   then the name, then the body: the objects, key and value in turn
//
// A file is written beside its place, flushed to the disk, and renamed: at every moment there is the old file or the
// new one, whole. Files are read and written by a thread of the blocking pool if a process asks.
#include <coppice/ets_file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <coppice/ets_table.hpp>

#include "runtime/core.hpp"

namespace coppice {
inline namespace v1 {
namespace {

constexpr std::string_view magic = "coppets\n";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_size = 52;

constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}();

std::uint32_t crc32(std::string_view bytes, std::uint32_t before = 0) noexcept {
  std::uint32_t c = ~before;
  for (const char byte : bytes) c = crc_table[(c ^ static_cast<unsigned char>(byte)) & 0xff] ^ (c >> 8);
  return ~c;
}

template <class T>
T read_at(std::string_view bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The system's error as OTP names it.
Error system_error(int code) {
  switch (code) {
    case ENOENT: return error("enoent");
    case EACCES: return error("eacces");
    case EPERM: return error("eperm");
    case ENOSPC: return error("enospc");
    case EDQUOT: return error("edquot");
    case EFBIG: return error("efbig");
    case EISDIR: return error("eisdir");
    case ENOTDIR: return error("enotdir");
    case EROFS: return error("erofs");
    case EMFILE: return error("emfile");
    case EIO: return error("eio");
    default: return Error{ExitReason(tuple(Atom("errno"), code))};
  }
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

Result<> write_file(const std::string& path, std::string_view first, std::string_view second) {
  const std::string fresh = path + ".new";
  const auto fail = [&](int code) -> Result<> {
    ::unlink(fresh.c_str());
    return system_error(code);
  };
  Descriptor file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
  if (file.number < 0) return system_error(errno);
  for (std::string_view rest : {first, second}) {
    while (!rest.empty()) {
      const ssize_t written = ::write(file.number, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail(errno);
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  if (::fsync(file.number) != 0) return fail(errno);
  if (::close(std::exchange(file.number, -1)) != 0) return fail(errno);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail(errno);
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const Descriptor folder{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.number >= 0) (void)::fsync(folder.number);  // the file is whole in any case
  return {};
}

Result<std::string> read_file(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) return system_error(errno);
  std::string bytes;
  std::array<char, 65536> part;
  for (;;) {
    const ssize_t got = ::read(file.number, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno);
    if (got == 0) return bytes;
    bytes.append(part.data(), static_cast<std::size_t>(got));
  }
}

template <class F>
auto away_from_workers(F function) {
  return runtime::current_process() != nullptr ? coppice::blocking(function) : function();
}

struct Parsed {
  ets::FileInfo info;
  std::uint64_t schema = 0;
  std::string_view body;
};

// Nothing in the file is believed before its checksum was.
Result<Parsed> parse(std::string_view bytes) {
  if (bytes.substr(0, magic.size()) != magic.substr(0, bytes.size()) || bytes.empty()) return error("not_a_table_file");
  if (bytes.size() < header_size) return error("truncated");
  Parsed parsed;
  parsed.info.version = read_at<std::uint32_t>(bytes, 8);
  if (parsed.info.version != version) return error("unknown_version");
  if (read_at<std::uint32_t>(bytes, 48) != crc32(bytes.substr(0, 48))) return error("damaged");
  const auto type = read_at<std::uint8_t>(bytes, 12);
  const auto access = read_at<std::uint8_t>(bytes, 13);
  if (type > 3 || access > 2) return error("damaged");
  parsed.info.type = static_cast<ets::Type>(type);
  parsed.info.protection = static_cast<ets::Access>(access);
  parsed.info.named_table = read_at<std::uint8_t>(bytes, 14) != 0;
  parsed.schema = read_at<std::uint64_t>(bytes, 16);
  parsed.info.size = read_at<std::uint64_t>(bytes, 24);
  const std::uint64_t name_size = read_at<std::uint32_t>(bytes, 32);
  const auto body_size = read_at<std::uint64_t>(bytes, 36);
  const std::string_view rest = bytes.substr(header_size);
  if (rest.size() < name_size || rest.size() - name_size < body_size) return error("truncated");
  if (rest.size() - name_size > body_size || read_at<std::uint32_t>(bytes, 44) != crc32(rest)) return error("damaged");
  parsed.info.name = rest.substr(0, name_size);
  parsed.body = rest.substr(name_size);
  return parsed;
}

}  // namespace

namespace ets {

Result<FileInfo> file_info(const std::string& path) {
  const Result<std::string> bytes = away_from_workers([&] { return read_file(path); });
  if (!bytes) return Error{bytes.reason()};
  const Result<Parsed> parsed = parse(*bytes);
  if (!parsed) return Error{parsed.reason()};
  return parsed->info;
}

}  // namespace ets

namespace detail {

Result<> save_table(const TableRef& table, const std::string& path, FileWriting writing) {
  const std::optional<ets::Info> info = table_info(table);
  if (!info) throw_badarg("ets: there is no such table");
  std::string head(magic);
  encode(head, version);
  encode(head, static_cast<std::uint8_t>(info->type));
  encode(head, static_cast<std::uint8_t>(info->protection));
  encode(head, static_cast<std::uint8_t>(info->named_table));
  encode(head, std::uint8_t{0});
  encode(head, writing.schema);
  encode(head, writing.count);
  encode(head, static_cast<std::uint32_t>(info->name.size()));
  encode(head, static_cast<std::uint64_t>(writing.body.size()));
  encode(head, crc32(writing.body, crc32(info->name)));
  encode(head, crc32(head));
  head += info->name;
  return away_from_workers([&] { return write_file(path, head, writing.body); });
}

Result<FileReading> load_file(const std::string& path, std::uint64_t schema) {
  Result<std::string> bytes = away_from_workers([&] { return read_file(path); });
  if (!bytes) return Error{bytes.reason()};
  Result<Parsed> parsed = parse(*bytes);
  if (!parsed) return Error{parsed.reason()};
  if (parsed->schema != schema) return error("other_types");
  return FileReading{std::move(parsed->info), std::string(parsed->body)};
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
