// SPDX-License-Identifier: Apache-2.0
//
// Asynchronous requests and collections of them: GS-075 to GS-078.
#include <set>

#include <coppice/request_collection.hpp>

#include "conformance/gen_server_probe.hpp"

using namespace conformance;

namespace {

Probe::Ask answer(int value) {
  return {[value](Probe&) { return Probe::Answer<Term>(Term(value)); }};
}
// A call that stays open until release().
Probe::Defer keep() {
  return {[](Probe& probe, From<Term> from) { probe.held.push_back(std::move(from)); }};
}
// Answers the calls that are held, with `value`.
Probe::Do release(int value) {
  return {plain([value](Probe& probe) {
    for (From<Term>& from : probe.held) from.reply(Term(value));
    probe.held.clear();
  })};
}
std::size_t queue_length() { return process_info(self())->message_queue_len; }

constexpr Name<Probe> nobody{"gs_076_nobody"};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_075_wait_response_gives_the_reply) {
  const ProbeRef probe = start_probe();
  const Request<Term> request = probe.send_request(answer(7));
  const std::optional<Result<Term>> response = wait_response(request, infinity);
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->value(), Term(7));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_075_wait_response_may_be_repeated_after_a_timeout) {
  const ProbeRef probe = start_probe();
  const Request<Term> request = probe.send_request(keep());
  EXPECT_FALSE(wait_response(request, 0s).has_value());
  EXPECT_FALSE(wait_response(request, 1ms).has_value());
  probe.cast(release(8));
  EXPECT_EQ(wait_response(request, infinity)->value(), Term(8));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_075_the_death_of_the_server_is_an_error_with_its_reason) {
  const ProbeRef probe = start_probe();
  const Request<Term> open = probe.send_request(keep());
  probe.cast(Probe::Do{[](Probe&) { return Probe::stop("broken"_atom); }});
  const Request<Term> unread = probe.send_request(answer(1));
  EXPECT_EQ(wait_response(open, infinity)->reason(), "broken"_atom);
  const ExitReason second = receive_response(unread, infinity)->reason();
  EXPECT_TRUE(second == "broken"_atom || second == ExitReason::noproc()) << second;
}

BEHAVIOUR_TEST(GenServer, GS_075_receive_response_abandons_the_request_at_a_timeout) {
  const ProbeRef probe = start_probe();
  const Request<Term> request = probe.send_request(keep());
  EXPECT_FALSE(receive_response(request, 1ms).has_value());
  probe.cast(release(9));
  EXPECT_EQ(probe.call(get_value()), Term(0));  // the late reply has been sent by now
  EXPECT_FALSE(wait_response(request, 1ms).has_value());
  EXPECT_EQ(queue_length(), 0u);
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_075_check_response_classifies_one_message) {
  const ProbeRef probe = start_probe();
  const Request<Term> first = probe.send_request(answer(1));
  const Request<Term> second = probe.send_request(keep());
  const Response message = receive<Response>();
  EXPECT_FALSE(check_response(message, second).has_value());
  EXPECT_EQ(check_response(message, first)->value(), Term(1));
  exit(probe, ExitReason::kill());
  const Response failure = receive<Response>();
  EXPECT_EQ(check_response(failure, second)->reason(), ExitReason::killed());
}

BEHAVIOUR_TEST(GenServer, GS_076_a_request_to_an_unknown_server_fails_in_its_response) {
  EXPECT_EQ(wait_response(nobody.send_request(answer(1)), infinity)->reason(), ExitReason::noproc());
  EXPECT_EQ(receive_response(ProbeRef(dead_pid()).send_request(answer(1)), infinity)->reason(), ExitReason::noproc());
  const Request<Term> request = nobody.send_request(answer(1));
  EXPECT_EQ(request.server(), Term("gs_076_nobody"_atom));
  EXPECT_EQ(check_response(receive<Response>(), request)->reason(), ExitReason::noproc());
}

BEHAVIOUR_TEST(GenServer, GS_077_a_collection_gives_each_response_with_its_label) {
  RequestCollection<Term, int> requests;
  std::vector<ProbeRef> probes;
  for (int i = 0; i < 5; ++i) {
    probes.push_back(start_probe());
    requests.add(probes.back().send_request(answer(i * 10)), i);
  }
  requests.add(ProbeRef(dead_pid()).send_request(answer(1)), 5);
  EXPECT_EQ(requests.size(), 6u);
  EXPECT_EQ(requests.to_list().size(), 6u);
  std::set<int> labels;
  while (const auto next = requests.receive_response(infinity)) {
    labels.insert(next.label());
    if (next.label() == 5) {
      EXPECT_EQ(next.response().reason(), ExitReason::noproc());
    } else {
      EXPECT_EQ(next.response().value(), Term(next.label() * 10));
    }
  }
  EXPECT_EQ(labels, (std::set<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_TRUE(requests.empty());
  for (const ProbeRef& probe : probes) probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_077_an_empty_collection_has_no_request) {
  RequestCollection<Term> requests;
  EXPECT_TRUE(requests.wait_response(infinity).is_no_request());
  EXPECT_TRUE(requests.receive_response(infinity).is_no_request());
  const Request<Term> other = nobody.send_request(answer(1));
  const Response message = receive<Response>();
  EXPECT_TRUE(requests.check_response(message).is_no_request());
  EXPECT_EQ(message.request(), other.reference());
}

BEHAVIOUR_TEST(GenServer, GS_077_responses_come_in_the_order_of_their_arrival_and_others_stay) {
  const ProbeRef probe = start_probe();
  RequestCollection<Term> requests;
  const Request<Term> slow = probe.send_request(keep());
  requests.add(slow, "slow"_atom);
  const Request<Term> outside = probe.send_request(answer(1));
  requests.add(probe.send_request(answer(2)), "quick"_atom);
  EXPECT_EQ(requests.wait_response(infinity).label(), Term("quick"_atom));
  EXPECT_TRUE(requests.wait_response(0s).is_timeout());
  EXPECT_EQ(requests.size(), 1u);
  probe.cast(release(3));
  const auto last = requests.wait_response(infinity);
  EXPECT_EQ(last.label(), Term("slow"_atom));
  EXPECT_EQ(last.response().value(), Term(3));
  EXPECT_EQ(wait_response(outside, infinity)->value(), Term(1));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_077_a_timeout_of_receive_response_abandons_all_of_them) {
  const ProbeRef probe = start_probe();
  RequestCollection<Term, int> requests;
  for (int i = 0; i < 3; ++i) requests.add(probe.send_request(keep()), i);
  EXPECT_TRUE(requests.receive_response(1ms).is_timeout());
  EXPECT_TRUE(requests.empty());
  probe.cast(release(4));
  probe.call(get_value());
  EXPECT_FALSE(receive<Response>(1ms).has_value());
  EXPECT_EQ(queue_length(), 0u);
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_077_check_response_of_a_collection) {
  const ProbeRef probe = start_probe();
  RequestCollection<Term> requests;
  requests.add(probe.send_request(keep()), "kept"_atom);
  const Request<Term> outside = probe.send_request(answer(1));
  const Response message = receive<Response>();
  EXPECT_TRUE(requests.check_response(message).is_no_reply());
  EXPECT_EQ(message.request(), outside.reference());
  probe.cast(release(6));
  const auto found = requests.check_response(receive<Response>());
  ASSERT_TRUE(found);
  EXPECT_EQ(found.label(), Term("kept"_atom));
  EXPECT_EQ(found.response().value(), Term(6));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_078_a_response_may_be_awaited_until_a_time) {
  const ProbeRef probe = start_probe();
  const Request<Term> request = probe.send_request(keep());
  const auto before = monotonic_time();
  EXPECT_FALSE(wait_response(request, Until{before + 20ms}).has_value());
  EXPECT_GE(monotonic_time(), before + 20ms);
  EXPECT_FALSE(wait_response(request, Until{before}).has_value());  // over: looks once
  probe.cast(release(1));
  EXPECT_EQ(wait_response(request, Until{monotonic_time() + 24h})->value(), Term(1));

  const Request<Term> abandoned = probe.send_request(keep());
  EXPECT_FALSE(receive_response(abandoned, Until{before}).has_value());
  RequestCollection<Term> requests;
  requests.add(probe.send_request(keep()), "kept"_atom);
  EXPECT_TRUE(requests.wait_response(Until{before}).is_timeout());
  probe.cast(release(2));
  EXPECT_EQ(requests.receive_response(Until{monotonic_time() + 24h}).response().value(), Term(2));
  EXPECT_EQ(queue_length(), 0u);
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_078_a_deadline_ends_the_wait_at_its_time) {
  const ProbeRef probe = start_probe();
  const Request<Term> request = probe.send_request(keep());
  const auto deadline = monotonic_time() + 10s;
  sleep_for(4s);
  EXPECT_FALSE(wait_response(request, Until{deadline}).has_value());
  EXPECT_LT(monotonic_time() - deadline, 10ms);
  EXPECT_GE(monotonic_time(), deadline);
  probe.stop();
}
