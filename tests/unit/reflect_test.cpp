// SPDX-License-Identifier: Apache-2.0
#include <coppice/reflect.hpp>

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <coppice/exit_reason.hpp>

namespace shop {

class Counter {
 public:
  struct Increment {};
  struct GetValue {
    using Reply = int;
  };
  struct Add {
    int amount;
  };
};

struct User {
  std::string id;
  int age = 0;
  static constexpr auto fields = coppice::names("id", "age");
};

struct Order {
  User buyer;
  std::vector<Counter::Add> additions;
  std::optional<User> guarantor;
  std::map<std::string, Counter::Add> extras;
  std::pair<int, Counter::GetValue> pair;
};

template <class T>
struct Box {
  T content;
};

struct HTTPRequest2 {
  int x;
};

}  // namespace shop

namespace {

using namespace coppice;

struct HoldsPointer {
  int* pointer;
};
struct HoldsHoldsPointer {
  std::vector<HoldsPointer> inner;
};
struct DownLike {
  Reference reference;
  Pid pid;
  ExitReason reason;
};
class Opaque {
 public:
  int shown = 0;

 private:
  [[maybe_unused]] int hidden_ = 0;
};
struct Awkward {
  std::optional<int> a;
  std::any b;
  std::function<void()> c;
  std::variant<int, std::string> d;
  std::unique_ptr<int> e;
  std::vector<std::string> f;
  std::string_view g;
  Term h;
  ExitReason i;
  std::array<int, 3> j;
  const char* k;
};
struct Base {};
struct EmptyOverBase : Base {};
struct WithReference {
  int& value;
  int other;
};
struct Fields32 {
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24,
      a25, a26, a27, a28, a29, a30, a31;
};
struct Fields33 {
  Fields32 many;
  int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24,
      a25, a26, a27, a28, a29, a30, a31;
};

static_assert(field_count_of<shop::Counter::Increment> == 0);
static_assert(field_count_of<shop::Counter::Add> == 1);
static_assert(field_count_of<shop::User> == 2);
static_assert(field_count_of<Awkward> == 11);
static_assert(field_count_of<Fields32> == 32);
static_assert(!Reflectable<Fields33> && !Reflectable<WithReference>);
static_assert(!Reflectable<Opaque> && !Reflectable<int> && !Reflectable<std::string> && !Reflectable<std::vector<int>>);

static_assert(ReflectsToTerm<int> && ReflectsToTerm<shop::User> && ReflectsToTerm<std::vector<shop::User>>);
static_assert(ReflectsToTerm<DownLike> && !ToTerm<DownLike> && !std::is_convertible_v<DownLike, Term>);
static_assert(!ReflectsToTerm<HoldsPointer> && !ReflectsToTerm<HoldsHoldsPointer> && !ReflectsToTerm<Opaque>);

static_assert(type_name_of<shop::Counter::Increment>() == "Increment");
static_assert(qualified_type_name_of<shop::Counter::Increment>() == "shop::Counter::Increment");
static_assert(type_name_of<int>() == "int");
static_assert(type_name_of<shop::Box<shop::Counter::Add>>() == "Box<shop::Counter::Add>");
static_assert(type_name_of<DownLike>() == "DownLike", "an unnamed namespace is no part of the last component");

TEST(Reflect, an_empty_class_over_an_empty_base_has_no_fields) {
  static_assert(field_count_of<EmptyOverBase> == 0);
  EXPECT_EQ(inspect(to_term(EmptyOverBase{})), ":empty_over_base");
}

TEST(Reflect, an_empty_aggregate_is_its_tag) {
  EXPECT_EQ(to_term(shop::Counter::GetValue{}), "get_value"_atom);
  EXPECT_EQ(to_term(shop::Counter::Increment{}), "increment"_atom);
}

TEST(Reflect, an_aggregate_without_names_is_a_tagged_tuple) {
  EXPECT_EQ(inspect(to_term(shop::Counter::Add{3})), "{:add, 3}");
  EXPECT_EQ(inspect(to_term(shop::Box<std::string>{"x"})), R"({:box, "x"})");
  EXPECT_EQ(inspect(to_term(DownLike{{}, Pid{1}, "gone"_atom})),
            "{:down_like, #Reference<0.0.0.0>, #PID<0.1.0>, :gone}");
}

TEST(Reflect, an_aggregate_with_names_is_a_map) {
  EXPECT_EQ(to_term(shop::User{"7", 42}), map({{"id"_atom, "7"}, {"age"_atom, 42}}));
}

TEST(Reflect, aggregates_inside_containers_and_aggregates_convert) {
  const shop::Order order{{"7", 42}, {{1}, {2}}, std::nullopt, {{"x", {3}}}, {5, {}}};
  EXPECT_EQ(inspect(to_term(order)),
            R"({:order, %{age: 42, id: "7"}, [add: 1, add: 2], nil, %{"x" => {:add, 3}}, {5, :get_value}})");
  EXPECT_EQ(to_term(std::vector<shop::User>{{"1", 2}}), list(map({{"id"_atom, "1"}, {"age"_atom, 2}})));
}

TEST(Reflect, what_is_a_term_by_itself_converts_as_such) {
  EXPECT_EQ(to_term(1), 1);
  EXPECT_EQ(to_term("x"), "x");
  EXPECT_EQ(to_term(tuple(1)), tuple(1));
}

TEST(Reflect, thirty_two_fields_arrive_in_order) {
  Fields32 many{};
  int next = 0;
  for_each_field(many, [&](std::string_view name, int& field) {
    EXPECT_EQ(name, "");
    field = next++;
  });
  EXPECT_EQ(many.a0, 0);
  EXPECT_EQ(many.a31, 31);
  EXPECT_EQ(to_term(many).size(), 33U);
  EXPECT_EQ(to_term(many)[32], 31);
}

TEST(Reflect, fields_are_visited_with_their_names) {
  std::string seen;
  for_each_field(shop::User{"7", 42}, [&](std::string_view name, const auto& field) {
    seen.append(name).append("=").append(inspect(to_term(field))).append(";");
  });
  EXPECT_EQ(seen, R"(id="7";age=42;)");
}

TEST(Reflect, names_turn_to_snake_case_as_elixir_does) {
  // The right side is what Macro.underscore/1 gave.
  const std::pair<const char*, const char*> table[] = {
      {"GetValue", "get_value"},
      {"Increment", "increment"},
      {"HTTPServer", "http_server"},
      {"SAPExample", "sap_example"},
      {"Foo10Bar", "foo10_bar"},
      {"fooBar", "foo_bar"},
      {"Foo", "foo"},
      {"A", "a"},
      {"AB", "ab"},
      {"ABc", "a_bc"},
      {"already_snake", "already_snake"},
      {"Get_Value", "get__value"},
      {"X509Certificate", "x509_certificate"},
      {"HTTPRequest2", "http_request2"},
      {"UserID", "user_id"},
      {"Version2API", "version2_api"},
      {"Mixed_Case_NAME", "mixed__case_name"},
      {"IOError", "io_error"},
      {"AbC1D", "ab_c1_d"},
  };
  for (const auto& [name, expected] : table) EXPECT_EQ(snake_case(name), expected);
  EXPECT_EQ(type_tag_of<shop::HTTPRequest2>().text(), snake_case("HTTPRequest2"));
  EXPECT_EQ(type_tag_of<shop::Box<int>>(), "box"_atom);
}

}  // namespace
