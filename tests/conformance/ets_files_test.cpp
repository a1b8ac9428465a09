// SPDX-License-Identifier: Apache-2.0
//
// Tables in files (ET-067 to ET-071).
#include "conformance/ets_support.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <tuple>

namespace conformance::tables {
namespace {

enum class Level : std::uint8_t { low, high };
struct Entry {
  std::string text;
  std::vector<int> numbers;
  std::optional<double> weight;
  std::map<std::string, Level> levels;
  std::pair<int, bool> both;
  friend bool operator==(const Entry&, const Entry&) = default;
};
using Entries = ets::Table<int, Entry>;

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               ("coppice-ets-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file() const { return (path / "table").string(); }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
  }
  static inline std::atomic<int> count{0};
};

std::string contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const std::string& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

Term why(const Result<Numbers>& result) { return result ? Term(Atom("ok")) : result.reason().term(); }

BEHAVIOUR_TEST(EtsFiles, ET_067_ET_068_a_saved_table_is_loaded_as_it_was) {
  const Folder folder;
  const Entries table =
      Entries::create({.name = Entries::Name("entries"), .type = Type::ordered_set, .access = Access::public_});
  const Entry entry{"text", {1, -2, 3}, 2.5, {{"a", Level::high}}, {7, true}};
  table.insert(1, entry);
  table.insert(2, Entry{});
  ASSERT_TRUE(table.save(folder.file()));
  EXPECT_EQ(folder.files(), 1u);  // nothing temporary is left
  table.destroy();
  const Entries loaded = Entries::load(folder.file()).value();
  EXPECT_EQ(loaded.lookup(1), entry);
  EXPECT_EQ(loaded.lookup(2), Entry{});
  const ets::Info info = loaded.info().value();
  EXPECT_EQ(info.name, "entries");
  EXPECT_EQ(info.type, Type::ordered_set);
  EXPECT_EQ(info.protection, Access::public_);
  EXPECT_EQ(info.owner, self());
}

BEHAVIOUR_TEST(EtsFiles, ET_068_bags_keep_their_objects_in_order) {
  const Folder folder;
  const Numbers bag = Numbers::create({.type = Type::duplicate_bag});
  bag.insert(pairs({{1, 3}, {1, 1}, {1, 3}}));
  ASSERT_TRUE(bag.save(folder.file()));
  EXPECT_EQ(Numbers::load(folder.file()).value().lookup_all(1), pairs({{1, 3}, {1, 1}, {1, 3}}));
}

BEHAVIOUR_TEST(EtsFiles, ET_068_a_taken_name_or_a_missing_file_is_an_error) {
  const Folder folder;
  const Numbers table = Numbers::create({.name = numbers});
  ASSERT_TRUE(table.save(folder.file()));
  EXPECT_EQ(why(Numbers::load(folder.file())), Term(Atom("cannot_create_table")));
  EXPECT_EQ(why(Numbers::load(folder.file() + "-not")), Term(Atom("enoent")));
  EXPECT_EQ(why(Numbers::load(folder.path.string())), Term(Atom("eisdir")));
}

// Every cut and every changed byte is noticed, and then there is no table.
void load_damaged_files() {
  const Folder folder;
  const Numbers table = Numbers::create({.label = "t"});
  table.insert(pairs({{1, 1}, {2, 2}}));
  ASSERT_TRUE(table.save(folder.file()));
  const std::string whole = contents(folder.file());
  const std::size_t tables = ets::all().size();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(folder.file(), whole.substr(0, size));
    const Term reason = why(Numbers::load(folder.file()));
    EXPECT_TRUE(reason == Term(Atom("truncated")) || (size == 0 && reason == Term(Atom("not_a_table_file")))) << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write(folder.file(), damaged);
    const Term reason = why(Numbers::load(folder.file()));
    const Term expected(Atom(at < 8 ? "not_a_table_file" : at < 12 ? "unknown_version" : "damaged"));
    EXPECT_EQ(reason, expected) << at;
  }
  write(folder.file(), whole + "x");
  EXPECT_EQ(why(Numbers::load(folder.file())), Term(Atom("damaged")));
  EXPECT_EQ(ets::all().size(), tables);
}
TEST(EtsFiles, ET_069_a_damaged_or_truncated_file_is_refused) { behaviour::on_threads(load_damaged_files); }

// A file that is whole by its checksums may still have been made by somebody else. A count is compared with the bytes that
// are there; where elements take none, with a limit.
template <class Value>
Term why_with_count(std::uint64_t objects, std::uint64_t elements) {
  using Table = ets::Table<int, Value>;
  const Folder folder;
  std::string body;
  detail::encode(body, 1);
  detail::encode(body, elements);
  const Table table = Table::create();
  EXPECT_TRUE(detail::save_table(table.ref(), folder.file(), {detail::schema_of<int, Value>(), objects, body}));
  const Result<Table> loaded = Table::load(folder.file());
  return loaded ? Term(Atom("ok")) : loaded.reason().term();
}
BEHAVIOUR_TEST(EtsFiles, ET_069_a_count_that_cannot_be_right_is_refused) {
  constexpr std::uint64_t huge = std::uint64_t{1} << 60;
  using Nothings = std::vector<std::tuple<>>;
  EXPECT_EQ(why_with_count<Nothings>(1, huge), Term(Atom("damaged")));
  EXPECT_EQ(why_with_count<Nothings>(1, 3), Term(Atom("ok")));
  EXPECT_EQ(why_with_count<std::vector<Nothings>>(1, huge), Term(Atom("damaged")));
  EXPECT_EQ(why_with_count<std::vector<int>>(1, huge), Term(Atom("damaged")));
  EXPECT_EQ(why_with_count<std::vector<int>>(huge, 0), Term(Atom("damaged")));
  EXPECT_EQ(why_with_count<std::vector<int>>(1, 0), Term(Atom("ok")));
  const Folder folder;
  const auto none = ets::Table<std::tuple<>, std::tuple<>>::create();
  none.insert({}, {});
  EXPECT_TRUE(none.save(folder.file()));
  EXPECT_TRUE((ets::Table<std::tuple<>, std::tuple<>>::load(folder.file())));
  const auto many = ets::Table<int, Nothings>::create();
  many.insert(1, Nothings((1 << 20) + 1));
  EXPECT_TRUE(is_badarg([&] { (void)many.save(folder.file()); }));
}

BEHAVIOUR_TEST(EtsFiles, a_file_of_other_types_is_refused) {
  const Folder folder;
  ASSERT_TRUE(Words::create().save(folder.file()));
  EXPECT_EQ(why(Numbers::load(folder.file())), Term(Atom("other_types")));
}

BEHAVIOUR_TEST(EtsFiles, ET_070_a_file_says_what_it_holds_without_owner_or_heir) {
  const Folder folder;
  const Numbers table = Numbers::create({.name = numbers, .type = Type::bag, .heir = ets::Heir{self()}});
  table.insert(pairs({{1, 1}, {2, 2}}));
  ASSERT_TRUE(table.save(folder.file()));
  const ets::FileInfo info = ets::file_info(folder.file()).value();
  EXPECT_EQ(info.version, 1u);
  EXPECT_EQ(info.name, "numbers");
  EXPECT_TRUE(info.named_table);
  EXPECT_EQ(info.type, Type::bag);
  EXPECT_EQ(info.size, 2u);
  table.destroy();
  EXPECT_FALSE(Numbers::load(folder.file()).value().info()->heir);
}

BEHAVIOUR_TEST(EtsFiles, ET_067_a_failed_save_leaves_the_old_file_and_nothing_else) {
  const Folder folder;
  const Numbers table = Numbers::create();
  table.insert(1, 1);
  EXPECT_EQ(table.save((folder.path / "no" / "folder").string()).reason().term(), Term(Atom("enoent")));
  ASSERT_TRUE(table.save(folder.file()));
  std::filesystem::create_directories(folder.file() + ".new");  // the temporary file cannot be made
  table.insert(2, 2);
  EXPECT_EQ(table.save(folder.file()).reason().term(), Term(Atom("eisdir")));
  std::filesystem::remove(folder.file() + ".new");
  EXPECT_EQ(Numbers::load(folder.file()).value().size(), 1u);
  const std::string place = (folder.path / "place").string();  // the rename fails
  std::filesystem::create_directories(place);
  EXPECT_EQ(table.save(place).reason().term(), Term(Atom("eisdir")));
  EXPECT_FALSE(std::filesystem::exists(place + ".new"));
}

// /dev/full is a disk that is full.
BEHAVIOUR_TEST(EtsFiles, ET_067_a_full_disk_is_an_error_that_leaves_the_old_file) {
  const Folder folder;
  const Numbers table = Numbers::create();
  table.insert(1, 1);
  ASSERT_TRUE(table.save(folder.file()));
  const std::string before = contents(folder.file());
  std::filesystem::create_symlink("/dev/full", folder.file() + ".new");
  table.insert(2, 2);
  EXPECT_EQ(table.save(folder.file()).reason().term(), Term(Atom("enospc")));
  EXPECT_EQ(contents(folder.file()), before);
}

BEHAVIOUR_TEST(EtsFiles, ET_071_a_file_written_while_others_write_is_one_state_of_the_table) {
  const Folder folder;
  const Numbers table = Numbers::create({.access = Access::public_});
  table.insert(pairs({{1, 0}, {2, 0}}));
  const auto [writer, gone] = spawn_monitor([table] {
    for (int i = 1; i <= 10; ++i) table.insert(pairs({{1, i}, {2, i}}));
  });
  ASSERT_TRUE(table.save(folder.file()));
  const Numbers loaded = Numbers::load(folder.file()).value();
  EXPECT_EQ(loaded.lookup(1), loaded.lookup(2));
  await_down(gone);
}

}  // namespace
}  // namespace conformance::tables
