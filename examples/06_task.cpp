// SPDX-License-Identifier: Apache-2.0
//
// Tasks: several things at once, each in a process of its own, and their values.
#include <stdexcept>
#include <string>
#include <vector>

#include <coppice/print.hpp>
#include <coppice/runtime.hpp>
#include <coppice/task.hpp>
#include <coppice/timer.hpp>
using namespace coppice;

using Comments = std::vector<std::string>;

std::string fetch_users() {
  sleep_for(100ms);
  return "ann, bob";
}
int count_posts(const std::string& user) {
  sleep_for(200ms);
  return static_cast<int>(user.size());
}
std::string fetch(const std::string& url) {
  if (url.empty()) throw std::runtime_error("an empty address");
  sleep_for(url == "slow" ? 10s : 5ms);
  return "<" + url + ">";
}

int main() {
  return coppice::run([] {
    const auto begin = monotonic_time();
    auto users = Task::async(fetch_users);
    auto posts = Task::async(count_posts, "ann");
    auto comments = Task::async([] {
      sleep_for(300ms);
      return Comments{"c1", "c2", "c3"};
    });
    auto [u, p, c] = await_many(5s, users, posts, comments);
    println("{}; {} posts; {} comments", u, p, c.size());
    println("as long as the slowest: {}", monotonic_time() - begin < 550ms);

    auto slow = Task::async(fetch, "slow");
    if (!slow.yield(5ms)) println("not yet");
    println("ended by us: {}", !slow.shutdown());

    trap_exit(true);  // else a crash of a task would be ours too
    const std::vector<std::string> urls{"a", "b", "slow", "c"};
    const AsyncStreamOptions options{.max_concurrency = 4, .timeout = 500ms, .on_timeout = OnTimeout::kill_task};
    for (TaskResult<std::string> page : Task::async_stream(urls, fetch, options)) {
      if (page) {
        println("page {}", *page);
      } else {
        println("no page: {}", page.reason());
      }
    }
  });
}
