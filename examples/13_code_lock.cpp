// SPDX-License-Identifier: Apache-2.0
//
// A lock with a code: the classic of gen_statem. What a button does depends on the state, and the lock closes by itself.
#include <coppice/print.hpp>
#include <coppice/runtime.hpp>
#include <coppice/state_machine.hpp>
#include <coppice/sys.hpp>

#include <string>

using namespace coppice;

enum class Lock { locked, open };

class CodeLock : public StateMachine<CodeLock, Lock> {
 public:
  struct Button {
    char digit;
  };
  struct Pass {
    using Reply = Ok;
    std::string who;
  };

  static constexpr Name<CodeLock> name{"CodeLock"};
  static void press(const std::string& digits) {
    for (char digit : digits) name.cast(Button{digit});
  }

  static constexpr Lock initial_state = Lock::locked;
  explicit CodeLock(std::string code) : code_(std::move(code)) {}

  Entered handle_enter(Lock now, Lock) {
    pressed_.clear();
    print("{}\n", now == Lock::open ? "open" : "locked");
    return now == Lock::open ? entered().state_timeout(50ms) : entered();
  }
  Transition handle_cast(In<Lock::locked>, Button button) {
    pressed_ += button.digit;
    if (pressed_.size() < code_.size()) return keep_state().named_timeout("forget"_atom, 10s);
    return pressed_ == code_ ? next_state(Lock::open) : repeat_state();
  }
  void handle_cast(In<Lock::open>, Button) {}
  Transition handle_state_timeout(Timeout) { return next_state(Lock::locked); }
  void handle_named_timeout(Timeout) { pressed_.clear(); }

  Transition handle_call(In<Lock::locked>, const Pass&, From<Ok>&) { return keep_state().postpone(); }  // waits
  Transition handle_call(In<Lock::open>, const Pass& pass, From<Ok>& from) {
    print("{} goes in\n", pass.who);
    return keep_state().reply(from, Ok{});
  }

 private:
  std::string code_;
  std::string pressed_;
};

int main() {
  return coppice::run([] {
    CodeLock::start_link("1234").value();
    CodeLock::press("1111");
    auto ann = CodeLock::name.send_request(CodeLock::Pass{"ann"});  // waits for the code
    CodeLock::press("1234");
    static_cast<void>(wait_response(ann, 5s)->value());
    while (sys::get_state<CodeLock>(CodeLock::name).state() == Lock::open) sleep_for(10ms);  // it locks itself
    auto bob = CodeLock::name.send_request(CodeLock::Pass{"bob"});
    CodeLock::press("1234");
    static_cast<void>(wait_response(bob, 5s)->value());
    CodeLock::name.stop();
  });
}
