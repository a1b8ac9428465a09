// SPDX-License-Identifier: Apache-2.0
//
// Reports, debug functions and catch-alls find the request of a call by the offset in its table.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include <coppice/gen_server.hpp>

namespace coppice {
namespace {

template <class R, class Value>
struct Question {
  using Reply = R;
  Value value;
};
struct Moved {  // no plain data, so that what follows it may stand in its last bytes
  char value = 0;
  Moved() = default;
  Moved(Moved&& other) noexcept : value(other.value) {}
};
struct alignas(16) Wide {
  char value = 0;
};

class Server : public GenServer<Server> {
 public:
  template <class R, class Value>
  R handle_call(Question<R, Value>) {
    return {};
  }
};

template <class R, class Value>
void check() {
  using M = Question<R, Value>;
  auto* node = static_cast<detail::Envelope<M, R>*>(detail::make_call<Server>(M{}));
  EXPECT_EQ(detail::payload_of(node), static_cast<void*>(&node->request_value)) << sizeof(R) << ' ' << sizeof(Value);
  node->table->destroy(node);
}
template <class R>
void check_with_all() {
  check<R, bool>();
  check<R, std::int16_t>();
  check<R, int>();
  check<R, double>();
  check<R, std::string>();
  check<R, Moved>();
}

TEST(Envelope, the_request_lies_where_its_table_says) {
  check_with_all<bool>();
  check_with_all<std::int16_t>();
  check_with_all<int>();
  check_with_all<double>();
  check_with_all<std::string>();
  check_with_all<Moved>();
  check_with_all<Wide>();
}

}  // namespace
}  // namespace coppice
