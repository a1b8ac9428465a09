// SPDX-License-Identifier: Apache-2.0
#include <coppice/exit_reason.hpp>

#include <cstdlib>
#include <new>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <unordered_set>

#include <gtest/gtest.h>

namespace {

using namespace coppice;

static_assert(sizeof(ExitReason) == sizeof(void*));
static_assert(std::is_nothrow_copy_constructible_v<ExitReason> && std::is_nothrow_copy_assignable_v<ExitReason>);
static_assert(std::is_nothrow_move_constructible_v<ExitReason> && std::is_nothrow_destructible_v<ExitReason>);
static_assert(std::is_nothrow_default_constructible_v<ExitReason>);
static_assert(std::is_convertible_v<Atom, ExitReason> && std::is_convertible_v<Term, ExitReason>);
static_assert(!std::is_convertible_v<const char*, ExitReason> && !std::is_convertible_v<int, ExitReason>);
static_assert(noexcept(ExitReason::killed()) && noexcept(ExitReason(Atom())));
constinit const ExitReason at_compile_time;

ExitReason stop(ExitReason reason) { return reason; }

Term genserver_call(const Term& reason) {
  return tuple(reason, tuple("Elixir.GenServer"_atom, "call"_atom, list("a"_atom, "get"_atom, 5000)));
}

ExitReason boom() {
  return ExitReason::exception("shop::out_of_stock", "boom", {0x10, 0x20},
                               std::make_exception_ptr(std::out_of_range("boom")));
}

TEST(ExitReason, a_default_constructed_reason_is_normal) {
  EXPECT_TRUE(ExitReason().is_normal());
  EXPECT_EQ(ExitReason(), ExitReason::normal());
  EXPECT_EQ(ExitReason("normal"_atom), ExitReason::normal());
  EXPECT_EQ(ExitReason(Term("normal"_atom)), ExitReason::normal());
  EXPECT_TRUE(at_compile_time.is_normal());
}

TEST(ExitReason, predefined_reasons_are_their_atoms) {
  EXPECT_EQ(ExitReason::normal().term(), "normal"_atom);
  EXPECT_EQ(ExitReason::shutdown(), "shutdown"_atom);
  EXPECT_EQ(ExitReason::killed(), "killed"_atom);
  EXPECT_EQ(ExitReason::kill(), "kill"_atom);
  EXPECT_EQ(ExitReason::noproc(), "noproc"_atom);
  EXPECT_EQ(ExitReason::noconnection(), "noconnection"_atom);
  EXPECT_EQ(ExitReason::timeout(), "timeout"_atom);
  EXPECT_NE(ExitReason::kill(), ExitReason::killed());
  EXPECT_EQ(to_string(ExitReason::noproc()), ":noproc");
}

TEST(ExitReason, any_atom_or_term_is_a_reason) {
  EXPECT_EQ(stop("enoent"_atom), "enoent"_atom);
  EXPECT_EQ(stop(tuple("failed"_atom, 3)), tuple("failed"_atom, 3));
  EXPECT_EQ(to_string(stop(tuple("failed"_atom, 3))), "{:failed, 3}");
  EXPECT_EQ(ExitReason::badarg("no such key"), tuple("badarg"_atom, "no such key"));
  EXPECT_EQ(ExitReason::shutdown(Term(3)), tuple("shutdown"_atom, 3));
}

TEST(ExitReason, small_terms_keep_their_kind) {
  for (const Term& term : {Term(42), Term(1.5), list(), tuple(), map({}), Term("x"), Term(Pid{1}), list(1)}) {
    const ExitReason reason = term;
    EXPECT_EQ(reason.term(), term) << term;
    EXPECT_EQ(reason.term().kind(), term.kind()) << term;
    EXPECT_EQ(reason, ExitReason(term)) << term;
    EXPECT_EQ(to_string(reason), inspect(term));
  }
  EXPECT_NE(ExitReason(Term(1)), ExitReason(tuple(1)));
}

TEST(ExitReason, reasons_copy_move_and_assign) {
  ExitReason a = tuple("a"_atom, "text");
  ExitReason b = a;
  EXPECT_EQ(a, b);
  b = ExitReason::killed();
  EXPECT_EQ(a, tuple("a"_atom, "text"));
  b = std::move(a);
  EXPECT_TRUE(a.is_normal());  // NOLINT: that is what is tested
  EXPECT_EQ(b, tuple("a"_atom, "text"));
  ExitReason& same = b;
  b = same;
  EXPECT_EQ(b, tuple("a"_atom, "text"));
}

TEST(ExitReason, shutdown_kinds_are_told_from_the_others) {
  EXPECT_TRUE(ExitReason::normal().is_shutdown_kind());
  EXPECT_TRUE(ExitReason::shutdown().is_shutdown_kind());
  EXPECT_TRUE(ExitReason::shutdown(Term("why")).is_shutdown_kind());
  EXPECT_FALSE(ExitReason::killed().is_shutdown_kind());
  EXPECT_FALSE(ExitReason(tuple("shutdown"_atom, 1, 2)).is_shutdown_kind());
  EXPECT_FALSE(ExitReason(list("shutdown"_atom, 1)).is_shutdown_kind());
  EXPECT_FALSE(boom().is_shutdown_kind());
}

TEST(ExitReason, reasons_hash_by_value) {
  std::unordered_set<ExitReason> set{ExitReason::normal(), "normal"_atom, tuple(1), tuple(1), boom(), boom()};
  EXPECT_EQ(set.size(), 3U);
}

// -- exceptions --

TEST(ExitReason, an_exception_is_a_runtime_error_for_everyone_else) {
  const ExitReason reason = boom();
  const Term error =
      map({{"__struct__"_atom, "Elixir.RuntimeError"_atom}, {"__exception__"_atom, true}, {"message"_atom, "boom"}});
  EXPECT_EQ(reason.term(), tuple(error, list()));
  EXPECT_TRUE(reason.term().is_tuple(2));
  EXPECT_EQ(inspect(reason.term()), R"({%RuntimeError{message: "boom"}, []})");
  EXPECT_EQ(to_string(reason), R"({%RuntimeError{message: "boom"}, [stack]})");
  EXPECT_EQ(to_string(ExitReason::exception("x", "boom")), R"({%RuntimeError{message: "boom"}, []})");
}

TEST(ExitReason, an_exception_keeps_what_was_thrown) {
  const ExitReason reason = boom();
  EXPECT_TRUE(reason.is_exception());
  EXPECT_EQ(reason.exception_message(), "boom");
  EXPECT_EQ(reason.exception_type(), "shop::out_of_stock");
  EXPECT_EQ(reason.stack(), (std::vector<std::uintptr_t>{0x10, 0x20}));
  EXPECT_THROW(std::rethrow_exception(reason.exception_pointer()), std::out_of_range);
}

TEST(ExitReason, other_reasons_have_no_exception) {
  const Term lookalike = tuple(map({{"__struct__"_atom, "Elixir.RuntimeError"_atom}}), list());
  for (const ExitReason& reason : {ExitReason(), ExitReason::killed(), ExitReason(Term(1)), ExitReason(lookalike)}) {
    EXPECT_FALSE(reason.is_exception());
    EXPECT_EQ(reason.exception_message(), "");
    EXPECT_EQ(reason.exception_type(), "");
    EXPECT_EQ(reason.exception_pointer(), nullptr);
    EXPECT_TRUE(reason.stack().empty());
  }
}

TEST(ExitReason, equality_does_not_see_stack_type_or_pointer) {
  EXPECT_EQ(boom(), ExitReason::exception("other", "boom", {1}));
  EXPECT_NE(boom(), ExitReason::exception("shop::out_of_stock", "bang"));
}

TEST(ExitReason, an_exception_survives_inside_terms) {
  const Term wrapped = genserver_call(boom().term());
  EXPECT_TRUE(wrapped[0].is_tuple(2));
  const Term copy = list(wrapped, 1)[0];
  const ExitReason found = copy[0];
  EXPECT_TRUE(found.is_exception());
  EXPECT_EQ(found.exception_type(), "shop::out_of_stock");
  EXPECT_EQ(found.stack().size(), 2U);
  EXPECT_THROW(std::rethrow_exception(found.exception_pointer()), std::out_of_range);
  EXPECT_EQ(tuple(boom(), 1), tuple(boom().term(), 1));
}

TEST(ExitReason, an_error_of_its_own_kind_takes_the_place_of_the_runtime_error) {
  const ExitReason reason = ExitReason::exception(tuple("nocatch"_atom, 5), "int", "5", {1});
  EXPECT_EQ(reason.term(), tuple(tuple("nocatch"_atom, 5), list()));
  EXPECT_TRUE(reason.is_exception());
  EXPECT_EQ(to_string(reason), "{{:nocatch, 5}, [stack]}");
}

TEST(ExitReason, threads_may_use_the_predefined_and_shared_reasons) {
  const ExitReason shared = boom();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([reason = shared] {
      for (int i = 0; i < 5000; ++i) {
        ExitReason copy = reason;
        ASSERT_EQ(copy.exception_message(), "boom");
        copy = ExitReason::killed();
        ASSERT_EQ(copy, "killed"_atom);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// -- format_exit: the left side of each row, in Elixir, gave the right side --

constexpr const char* noproc_text =
    "no process: the process is not alive or there's no process currently associated with the given name, possibly "
    "because its application isn't started";

Term beam_exception(const Term& error) {
  const Term place =
      keyword({{"file"_atom, Term(std::vector<char>{'l', 'i', 'b', '/', 'c', '.', 'e', 'x'})}, {"line"_atom, 12}});
  return tuple(error, list(tuple("Elixir.Counter"_atom, "bump"_atom, 1, place),
                           tuple("Elixir.Counter"_atom, "a b"_atom, list(1, "x"_atom), list())));
}

Term frame_only(const Term& error) { return tuple(error, list(tuple("m"_atom, "f"_atom, 2, list()))); }

Term bad(std::string_view what, const Term& fault) { return tuple(Atom(what), fault); }

void expect_formats(const Term& reason, const std::string& expected) {
  EXPECT_EQ(format_exit(reason), expected) << inspect(reason);
}

TEST(FormatExit, plain_reasons_are_sentences) {
  expect_formats("normal"_atom, "normal");
  expect_formats("shutdown"_atom, "shutdown");
  expect_formats(tuple("shutdown"_atom, 3), "shutdown: 3");
  expect_formats("calling_self"_atom, "process attempted to call itself");
  expect_formats("timeout"_atom, "time out");
  expect_formats("killed"_atom, "killed");
  expect_formats("noconnection"_atom, "no connection");
  expect_formats("noproc"_atom, noproc_text);
  expect_formats(bad("nodedown", "a@b"_atom), "no connection to a@b");
  expect_formats(bad("already_started", 5), "already started: 5");
  expect_formats(bad("bad_return_value", tuple("x"_atom)), "bad return value: {:x}");
  expect_formats(bad("bad_call", "c"_atom), "bad call: :c");
  expect_formats(bad("bad_cast", "c"_atom), "bad cast: :c");
  expect_formats("enoent"_atom, ":enoent");
  expect_formats(tuple("a"_atom, "b"_atom), "{:a, :b}");
  expect_formats(tuple("x"_atom, list(1, 2)), "{:x, [1, 2]}");
  expect_formats(tuple("x"_atom, tuple("m"_atom, "f"_atom, 3)), "{:x, {:m, :f, 3}}");
}

TEST(FormatExit, supervisor_reasons_are_sentences) {
  expect_formats(bad("bad_return", tuple("Elixir.Foo"_atom, "init"_atom, "oops"_atom)),
                 "Foo.init/1 returned a bad value: :oops");
  expect_formats(bad("bad_start_spec", 1), "bad child specification, invalid children: 1");
  expect_formats(bad("start_spec", tuple("invalid_shutdown"_atom, 1)),
                 "bad child specification, invalid shutdown: 1. Must be an integer >= 0, :infinity or :brutal_kill.");
  expect_formats(bad("start_spec", tuple("invalid_mfa"_atom, 1)), "bad child specification, invalid mfa: 1");
  expect_formats(bad("start_spec", 7), "bad child specification, got: 7");
  expect_formats(bad("start_spec", tuple("duplicate_child_name"_atom, "a"_atom)),
                 "bad child specification, more than one child specification has the id: :a");
  expect_formats(bad("supervisor_data", tuple("invalid_strategy"_atom, "x"_atom)),
                 "bad supervisor configuration, invalid strategy: :x");
  expect_formats(bad("supervisor_data", 1), "bad supervisor configuration, got: 1");
  expect_formats(tuple("shutdown"_atom, tuple("failed_to_start_child"_atom, "Elixir.Foo"_atom, "noproc"_atom)),
                 std::string("shutdown: failed to start child: Foo\n    ** (EXIT) ") + noproc_text);
}

TEST(FormatExit, a_failed_call_nests_its_reason) {
  expect_formats(genserver_call("noproc"_atom),
                 std::string("exited in: GenServer.call(:a, :get, 5000)\n    ** (EXIT) ") + noproc_text);
  expect_formats(genserver_call(genserver_call("killed"_atom)),
                 "exited in: GenServer.call(:a, :get, 5000)\n    ** (EXIT) exited in: GenServer.call(:a, :get, "
                 "5000)\n        ** (EXIT) killed");
}

TEST(FormatExit, an_exception_of_the_beam_shows_its_stack) {
  const Term error = boom().term()[0];
  const std::string text = "** (RuntimeError) boom";
  expect_formats(beam_exception(error), "an exception was raised:\n    " + text +
                                            "\n        lib/c.ex:12: Counter.bump/1\n        Counter.\"a b\"(1, :x)");
  expect_formats(
      tuple("shutdown"_atom, tuple("failed_to_start_child"_atom, "a"_atom, tuple("EXIT"_atom, frame_only(error)))),
      "shutdown: failed to start child: :a\n    ** (EXIT) an exception was raised:\n        " + text +
          "\n            :m.f/2");
}

TEST(FormatExit, errors_of_the_beam_have_the_names_that_elixir_gives_them) {
  const auto expect_banner = [](const Term& error, const std::string& banner) {
    expect_formats(frame_only(error), "an exception was raised:\n    ** " + banner + "\n        :m.f/2");
  };
  expect_banner("badarg"_atom, "(ArgumentError) argument error");
  expect_banner("badarith"_atom, "(ArithmeticError) bad argument in arithmetic expression");
  expect_banner(bad("badmatch", 3), "(MatchError) no match of right hand side value: 3");
  expect_banner(bad("case_clause", 3), "(CaseClauseError) no case clause matching: 3");
  expect_banner("undef"_atom, "(UndefinedFunctionError) function :m.f/2 is undefined");
  expect_banner("function_clause"_atom, "(FunctionClauseError) no function clause matching in :m.f/2");
  expect_banner("oops"_atom, "(ErlangError) Erlang error: :oops");
}

TEST(FormatExit, an_exception_of_this_program_shows_its_own_type) {
  expect_formats(ExitReason::exception("std::runtime_error", "boom").term(),
                 "an exception was raised:\n    ** (RuntimeError) boom");
  expect_formats(ExitReason::exception("shop::out_of_stock", "boom").term(),
                 "an exception was raised:\n    ** (shop::out_of_stock) boom");
  expect_formats(genserver_call(ExitReason::exception("", "boom").term()),
                 "exited in: GenServer.call(:a, :get, 5000)\n    ** (EXIT) an exception was raised:\n        ** "
                 "(RuntimeError) boom");
  const std::string text = format_exit(boom());
  EXPECT_TRUE(text.starts_with("an exception was raised:\n    ** (shop::out_of_stock) boom\n        ")) << text;
}

TEST(FormatExit, nesting_without_end_is_cut_off) {
  Term reason = "killed"_atom;
  for (int i = 0; i < 100'000; ++i) reason = genserver_call(reason);
  EXPECT_LT(format_exit(reason).size(), 100'000U);
}

TEST(ExitReason, a_reason_streams_as_it_prints) {
  std::ostringstream out;
  out << ExitReason::shutdown(Term("why")) << Term(1) << "foo bar"_atom;
  EXPECT_EQ(out.str(), R"({:shutdown, "why"}1:"foo bar")");
}

}  // namespace
