// SPDX-License-Identifier: Apache-2.0
//
// What inspect prints, against what Elixir 1.14 prints. Each row holds the expression in Elixir, the same value here,
// and the text that `IO.puts(inspect(expression))` gave.
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <coppice/exit_reason.hpp>
#include <coppice/term.hpp>

namespace {

using namespace coppice;

struct Case {
  const char* elixir;
  Term term;
  std::string printed;
};

std::vector<Term> vector_of(int first, int count) {
  std::vector<Term> terms;
  for (int i = 0; i < count; ++i) terms.emplace_back(first + i);
  return terms;
}

Term numbers(int first, int count) { return Term::list_of(vector_of(first, count)); }

Term nested(int depth) {
  Term term = "end"_atom;
  for (int i = 0; i < depth; ++i) term = tuple(term);
  return term;
}

Term nested_list(int depth) {
  Term term = list();
  for (int i = 0; i < depth; ++i) term = list(term);
  return term;
}

// `count` times the same term, then another one.
Term repeated(const Term& term, std::size_t count, const Term& last) {
  std::vector<Term> terms(count, term);
  terms.push_back(last);
  return Term::list_of(std::move(terms));
}

Term long_charlist() {
  std::vector<Term> terms = vector_of(32, 95);
  terms.resize(terms.size() + 4100, Term(97));
  return Term::list_of(std::move(terms));
}

std::string expected_long_charlist() {
  return R"( !"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~)" +
         std::string(4096 - 95, 'a');
}

void expect_prints(const std::vector<Case>& cases) {
  for (const Case& row : cases) EXPECT_EQ(inspect(row.term), row.printed) << row.elixir;
}

// clang-format off
TEST(Inspect, atoms_print_as_in_elixir) {
  expect_prints({
      {R"(:ok)", "ok"_atom, R"(:ok)"},
      {R"(nil)", Term(), R"(nil)"},
      {R"(true)", true, R"(true)"},
      {R"(false)", false, R"(false)"},
      {R"(:"foo bar")", "foo bar"_atom, R"(:"foo bar")"},
      {R"(:"")", Atom(""), R"(:"")"},
      {R"(:foo?)", "foo?"_atom, R"(:foo?)"},
      {R"(:foo!)", "foo!"_atom, R"(:foo!)"},
      {R"(:"a?b")", "a?b"_atom, R"(:"a?b")"},
      {R"(:a@b)", "a@b"_atom, R"(:a@b)"},
      {R"(:"1a")", "1a"_atom, R"(:"1a")"},
      {R"(:_x)", "_x"_atom, R"(:_x)"},
      {R"(:Foo)", "Foo"_atom, R"(:Foo)"},
      {R"(:"a-b")", "a-b"_atom, R"(:"a-b")"},
      {R"(Foo.Bar)", "Elixir.Foo.Bar"_atom, R"(Foo.Bar)"},
      {R"(Elixir)", "Elixir"_atom, R"(Elixir)"},
      {R"(:"Elixir.Elixir")", "Elixir.Elixir"_atom, R"(Elixir.Elixir)"},
      {R"(Elixir.Elixir.Foo)", "Elixir.Elixir.Foo"_atom, R"(Elixir.Elixir.Foo)"},
      {R"(:"Elixir.foo")", "Elixir.foo"_atom, R"(:"Elixir.foo")"},
      {R"(:"Elixir.Foo?")", "Elixir.Foo?"_atom, R"(:"Elixir.Foo?")"},
      {R"(:+)", "+"_atom, R"(:+)"},
      {R"(:<<>>)", "<<>>"_atom, R"(:<<>>)"},
      {R"(:"::")", "::"_atom, R"(:"::")"},
      {R"(:%{})", "%{}"_atom, R"(:%{})"},
      {R"(:"..//")", "..//"_atom, R"(:..//)"},
      {R"(:"^^^")", "^^^"_atom, R"(:"^^^")"},
      {R"(:->)", "->"_atom, R"(:->)"},
      {R"(:"=>")", "=>"_atom, R"(:"=>")"},
      {R"(:and)", "and"_atom, R"(:and)"},
      {R"(:"a\"b")", "a\"b"_atom, R"(:"a\"b")"},
      {R"(:"a\nb")", "a\nb"_atom, R"(:"a\nb")"},
      {R"(:josé)", "josé"_atom, R"(:josé)"},
      {R"(:日本)", "日本"_atom, R"(:日本)"},
      {R"(:"é b")", "é b"_atom, R"(:"é b")"},
      {R"(:"ª")", "ª"_atom, R"(:"ª")"},
      {R"(:"a@")", "a@"_atom, R"(:a@)"},
      {R"(:"@a")", "@a"_atom, R"(:"@a")"},
      {R"(:"?")", "?"_atom, R"(:"?")"},
      {R"(:"a??")", "a??"_atom, R"(:"a??")"},
  });
}
// clang-format on

// clang-format off
TEST(Inspect, numbers_print_as_in_elixir) {
  expect_prints({
      {R"(0)", 0, R"(0)"},
      {R"(-7)", -7, R"(-7)"},
      {R"(9223372036854775807)", std::numeric_limits<std::int64_t>::max(), R"(9223372036854775807)"},
      {R"(-9223372036854775808)", std::numeric_limits<std::int64_t>::min(), R"(-9223372036854775808)"},
      {R"(18446744073709551615)", std::numeric_limits<std::uint64_t>::max(), R"(18446744073709551615)"},
      {R"(-9223372036854775809)", *Term::integer("-9223372036854775809"), R"(-9223372036854775809)"},
      {R"(100000000000000000000000000000)",
       *Term::integer("100000000000000000000000000000"),
       R"(100000000000000000000000000000)"},
      {R"(123456789012345678901234567890123456789012345678901234567890)",
       *Term::integer("123456789012345678901234567890123456789012345678901234567890"),
       R"(123456789012345678901234567890123456789012345678901234567890)"},
      {R"(1.0)", 1.0, R"(1.0)"},
      {R"(-0.0)", -0.0, R"(-0.0)"},
      {R"(0.1)", 0.1, R"(0.1)"},
      {R"(1.0e10)", 1.0e10, R"(10000000000.0)"},
      {R"(1.0e-5)", 1.0e-5, R"(1.0e-5)"},
      {R"(1.0e16)", 1.0e16, R"(1.0e16)"},
      {R"(1.0e15)", 1.0e15, R"(1000000000000000.0)"},
      {R"(1.5e300)", 1.5e300, R"(1.5e300)"},
      {R"(5.0e-324)", 5.0e-324, R"(5.0e-324)"},
      {R"(1.7976931348623157e308)", 1.7976931348623157e308, R"(1.7976931348623157e308)"},
      {R"(0.001)", 0.001, R"(0.001)"},
      {R"(0.0001)", 0.0001, R"(0.0001)"},
      {R"(123.456)", 123.456, R"(123.456)"},
      {R"(1.0e22)", 1.0e22, R"(1.0e22)"},
      {R"(1.2345678901234567e19)", 1.2345678901234567e19, R"(1.2345678901234567e19)"},
      {R"(0.00012345)", 0.00012345, R"(1.2345e-4)"},
      {R"(100.0)", 100.0, R"(100.0)"},
      {R"(2.5)", 2.5, R"(2.5)"},
      {R"(12345678901234567.0)", 12345678901234567.0, R"(1.2345678901234568e16)"},
  });
}
// clang-format on

// clang-format off
TEST(Inspect, binaries_and_bitstrings_print_as_in_elixir) {
  expect_prints({
      {R"("hello")", "hello", R"("hello")"},
      {R"("")", "", R"("")"},
      {R"("a\"b\\c")", "a\"b\\c", R"("a\"b\\c")"},
      {R"("\n\t\r\e\a\b\d\f\v")", "\n\t\r\x1b\a\b\x7f\f\v", R"("\n\t\r\e\a\b\d\f\v")"},
      {R"("\#{x}")", "#{x}", R"("\#{x}")"},
      {R"("#x")", "#x", R"("#x")"},
      {R"("ünïcødé")", "ünïcødé", R"("ünïcødé")"},
      {R"("日本")", "日本", R"("日本")"},
      {R"("\u{1F600}")", "\U0001F600", R"("😀")"},
      {R"(<<0, 255>>)", Term::binary(std::string_view("\0\xff", 2)), R"(<<0, 255>>)"},
      {R"(<<255>>)", Term::binary("\xff"), R"(<<255>>)"},
      {R"("a\0b")", Term::binary(std::string_view("a\0b", 3)), R"(<<97, 0, 98>>)"},
      {R"(<<0xC2, 0x80>>)", Term::binary("\xc2\x80"), R"(<<194, 128>>)"},
      {R"("\uFEFF")", Term::binary("\xef\xbb\xbf"), R"("\uFEFF")"},
      {R"(<<0xED, 0xA0, 0x80>>)", Term::binary("\xed\xa0\x80"), R"(<<237, 160, 128>>)"},
      {R"(<<1::size(1)>>)", Term::bitstring("\x80", 1), R"(<<1::size(1)>>)"},
      {R"(<<255, 5::size(3)>>)", Term::bitstring("\xff\xbf", 11), R"(<<255, 5::size(3)>>)"},
      {R"(<<"abc", 1::4>>)", Term::bitstring("abc\x1f", 28), R"(<<97, 98, 99, 1::size(4)>>)"},
      {R"(<<0::480>>)",
       Term::binary(std::string(60, '\0')),
       R"(<<0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
       R"(, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...>>)"},
      {R"(<<0::400>>)",
       Term::binary(std::string(50, '\0')),
       R"(<<0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
       R"(, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0>>)"},
      {R"(String.duplicate("a", 4097))", std::string(4097, 'a'), "\"" + std::string(4096, 'a') + "\" <> ..."},
  });
}
// clang-format on

// clang-format off
TEST(Inspect, lists_print_as_in_elixir) {
  expect_prints({
      {R"([])", list(), R"([])"},
      {R"([1, 2, 3])", list(1, 2, 3), R"([1, 2, 3])"},
      {R"('abc')", list(97, 98, 99), R"('abc')"},
      {R"('it\'s' ++ [39])", list(105, 116, 39, 115, 39), R"('it\'s\'')"},
      {R"([7, 27, 10])", list(7, 27, 10), R"('\a\e\n')"},
      {R"([127])", list(127), R"([127])"},
      {R"([97, 233])", list(97, 233), R"([97, 233])"},
      {R"([0])", list(0), R"([0])"},
      {R"([1 | 2])", Term::list_of({1}, 2), R"([1 | 2])"},
      {R"([1, 2 | :c])", Term::list_of({1, 2}, "c"_atom), R"([1, 2 | :c])"},
      {R"([97 | 98])", Term::list_of({97}, 98), R"([97 | 98])"},
      {R"([a: 1])", keyword({{"a"_atom, 1}}), R"([a: 1])"},
      {R"([a: 1, b: [c: 2]])",
       keyword({{"a"_atom, 1}, {"b"_atom, keyword({{"c"_atom, 2}})}}),
       R"([a: 1, b: [c: 2]])"},
      {R"(["foo bar": 1])", keyword({{"foo bar"_atom, 1}}), R"(["foo bar": 1])"},
      {R"([{Foo, 1}])", list(tuple("Elixir.Foo"_atom, 1)), R"([{Foo, 1}])"},
      {R"([nil: 1, true: 2])", keyword({{"nil"_atom, 1}, {"true"_atom, 2}}), R"([nil: 1, true: 2])"},
      {R"([{:a, 1}, 2])", list(tuple("a"_atom, 1), 2), R"([{:a, 1}, 2])"},
      {R"([{:a, 1} | :b])", Term::list_of({tuple("a"_atom, 1)}, "b"_atom), R"([{:a, 1} | :b])"},
      {R"([+: 1, "::": 2, do: 3])",
       keyword({{"+"_atom, 1}, {"::"_atom, 2}, {"do"_atom, 3}}),
       R"([+: 1, "::": 2, do: 3])"},
      {R"([{Elixir, 1}])", keyword({{"Elixir"_atom, 1}}), R"(["Elixir": 1])"},
      {R"(Enum.to_list(1000..1059))",
       numbers(1000, 60),
       R"([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,)"
       R"( 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 1025, 1026, 1027, 1028, 1029,)"
       R"( 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039, 1040, 1041, 1042, 1043, 1044,)"
       R"( 1045, 1046, 1047, 1048, 1049, ...])"},
      {R"(Enum.to_list(1000..1049))",
       numbers(1000, 50),
       R"([1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,)"
       R"( 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 1025, 1026, 1027, 1028, 1029,)"
       R"( 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039, 1040, 1041, 1042, 1043, 1044,)"
       R"( 1045, 1046, 1047, 1048, 1049])"},
      {R"([[[1]], []])", list(list(list(1)), list()), R"([[[1]], []])"},
  });
}
// clang-format on

// clang-format off
TEST(Inspect, tuples_and_maps_print_as_in_elixir) {
  expect_prints({
      {R"({})", tuple(), R"({})"},
      {R"({1})", tuple(1), R"({1})"},
      {R"({:ok, "x", 1.5})", tuple("ok"_atom, "x", 1.5), R"({:ok, "x", 1.5})"},
      {R"(List.to_tuple(Enum.to_list(1..51)))",
       Term::tuple_of(vector_of(1, 51)),
       R"({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)"
       R"(, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, )"
       R"(48, 49, 50, ...})"},
      {R"(%{})", map({}), R"(%{})"},
      {R"(%{a: 1})", map({{"a"_atom, 1}}), R"(%{a: 1})"},
      {R"(%{:a => 1, "b" => 2})", map({{"a"_atom, 1}, {"b", 2}}), R"(%{:a => 1, "b" => 2})"},
      {R"(%{1 => 2, 1.0 => 3})", map({{1.0, 3}, {1, 2}}), R"(%{1 => 2, 1.0 => 3})"},
      {R"(%{"x y": 1, b: %{}})", map({{"b"_atom, map({})}, {"x y"_atom, 1}}), R"(%{b: %{}, "x y": 1})"},
      {R"(%{Foo => 1})", map({{"Elixir.Foo"_atom, 1}}), R"(%{Foo => 1})"},
      {R"(%{{1, 2} => [3]})", map({{tuple(1, 2), list(3)}}), R"(%{{1, 2} => [3]})"},
      {R"(%{[] => 1, "a" => 2, {} => 3, %{} => 4, 1.5 => 5, b: 6})",
       map({{list(), 1}, {"a", 2}, {tuple(), 3}, {map({}), 4}, {1.5, 5}, {"b"_atom, 6}}),
       R"(%{1.5 => 5, :b => 6, {} => 3, %{} => 4, [] => 1, "a" => 2})"},
      {R"(%RuntimeError{message: "x"})",
       map({{"__struct__"_atom, "Elixir.RuntimeError"_atom},
       {"__exception__"_atom, true},
       {"message"_atom, "x"}}),
       R"(%RuntimeError{message: "x"})"},
      {R"(%ArgumentError{message: "bad"})",
       map({{"__struct__"_atom, "Elixir.ArgumentError"_atom},
       {"__exception__"_atom, true},
       {"message"_atom, "bad"}}),
       R"(%ArgumentError{message: "bad"})"},
      {R"(%{__struct__: :foo})", map({{"__struct__"_atom, "foo"_atom}}), R"(%{__struct__: :foo})"},
      {R"(%{:__struct__ => 1, "a" => 2})",
       map({{"__struct__"_atom, 1}, {"a", 2}}),
       R"(%{:__struct__ => 1, "a" => 2})"},
      {R"(Enum.reduce(1..60, :end, fn _, acc -> {acc} end))",
       nested(60),
       R"({{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{...}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}})"
       R"(}}}}}}}}}}}}}}})"},
      {R"(Enum.reduce(1..60, [], fn _, acc -> [acc] end))",
       nested_list(60),
       R"([[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[...]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]])"
       R"(]]]]]]]]]]]]]]])"},
      {R"(List.duplicate(<<0, 0>>, 49) ++ [<<0, 0>>, 1])",
       repeated(Term::binary(std::string_view("\0\0", 2)), 50, 1),
       R"([<<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>,)"
       R"( <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>,)"
       R"( <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>,)"
       R"( <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>,)"
       R"( <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, 0>>,)"
       R"( <<0, 0>>, <<0, 0>>, <<0, 0>>, <<0, ...>>, <<...>>, ...])"},
      {R"({{1, 2}, [3, {4}], %{a: {5}}})",
       tuple(tuple(1, 2), list(3, tuple(4)), map({{"a"_atom, tuple(5)}})),
       R"({{1, 2}, [3, {4}], %{a: {5}}})"},
      {R"(Enum.to_list(32..126) ++ List.duplicate(?a, 4100))",
       long_charlist(),
       "'" + expected_long_charlist() + "' ++ ..."},
      {R"({:"$gen_call", {:a, [:alias]}, :get})",
       tuple("$gen_call"_atom, tuple("a"_atom, list("alias"_atom)), "get"_atom),
       R"({:"$gen_call", {:a, [:alias]}, :get})"},
      {R"({:error, :enoent})", tuple("error"_atom, "enoent"_atom), R"({:error, :enoent})"},
  });
}
// clang-format on

TEST(Inspect, a_pid_and_a_reference_print_with_their_sigils) {
  const Pid pid{(std::uint64_t{3} << Pid::slot_bits) | 12, 0, 1};
  EXPECT_EQ(to_string(pid), "<0.12.3>");
  EXPECT_EQ(inspect(pid), "#PID<0.12.3>");
  const Reference reference = Reference::from_id((std::uint64_t{7} << 32) | 9, 1);
  EXPECT_EQ(inspect(reference), "#Reference<0.0.7.9>");
  EXPECT_EQ(inspect(Reference{{1, 2, 3, 4, 5}, 5, 6, 0}), "#Reference<6.5.4.3.2.1>");
  EXPECT_EQ(inspect(Term::fun("bytes")), "#Function<opaque>");
}

TEST(Inspect, a_struct_prints_with_its_fields_in_key_order_even_if_nobody_knows_the_module) {
  const Term user = map({{"__struct__"_atom, "Elixir.User"_atom}, {"name"_atom, "Ann"}, {"age"_atom, 3}});
  EXPECT_EQ(inspect(user), R"(%User{age: 3, name: "Ann"})");
}

TEST(Inspect, the_limit_can_be_set_and_lifted) {
  EXPECT_EQ(inspect(numbers(1000, 60), {.limit = 2}), "[1000, 1001, ...]");
  EXPECT_EQ(inspect(list(1000, list(1001, 1002)), {.limit = 2}), "[1000, [...]]");
  EXPECT_EQ(inspect(tuple(1), {.limit = 0}), "{...}");
  EXPECT_EQ(inspect("abcdef", {.printable_limit = 3}), R"("abc" <> ...)");
  const std::string whole = inspect(numbers(1000, 60), {.limit = InspectOptions::infinity});
  EXPECT_TRUE(whole.ends_with("1058, 1059]")) << whole;
}

TEST(Inspect, nesting_is_cut_off_even_without_a_limit) {
  const std::string text = inspect(nested(100'000), {.limit = InspectOptions::infinity});
  EXPECT_EQ(text, std::string(500, '{') + "..." + std::string(500, '}'));
}

TEST(Inspect, to_string_gives_the_bare_text_of_atoms_and_binaries) {
  EXPECT_EQ(to_string(Term("abc")), "abc");
  EXPECT_EQ(to_string(Term("foo bar"_atom)), "foo bar");
  EXPECT_EQ(to_string(Term()), "");
  EXPECT_EQ(to_string(Term(42)), "42");
  EXPECT_EQ(to_string(tuple(1)), "{1}");
}

}  // namespace
