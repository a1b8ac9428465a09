// SPDX-License-Identifier: Apache-2.0
//
// An agent: a value that others read and change by sending it functions.
#include <map>
#include <string>
#include <utility>

#include <coppice/agent.hpp>
using namespace coppice;

inline constexpr Agent<int>::Name simple_counter{"SimpleCounter"};

using Stock = std::map<std::string, int>;

int main() {
  return coppice::run([] {
    Agent<int>::start_link({.name = simple_counter}, [] { return 0; }).value();
    simple_counter.update([](int& n) { ++n; });
    println("the counter: {}", simple_counter.get([](int n) { return n; }));
    const int before = simple_counter.get_and_update([](int& n) { return std::exchange(n, 0); });
    println("it was {} and is {}", before, simple_counter.get([](int n) { return n; }));

    // Without a name: by reference. Read and change in one function, or another client gets in between.
    const Agent<Stock>::Ref stock = Agent<Stock>::start_link([] { return Stock{{"apple", 2}, {"pear", 1}}; }).value();
    const auto take = [stock](std::string what) {
      return stock.get_and_update([what = std::move(what)](Stock& all) { return all[what] > 0 && all[what]-- > 0; });
    };
    println("took a pear: {}", take("pear"));
    println("took another one: {}", take("pear"));
    stock.cast([](Stock& all) { all["pear"] += 10; });
    println("pears: {}", stock.get([](const Stock& all) { return all.at("pear"); }));

    stock.stop();
    println("after its end: {}", stock.try_get([](const Stock& all) { return all.size(); }).reason());
  });
}
