// SPDX-License-Identifier: Apache-2.0
//
// A lock with a code: the classic of gen_statem. What a button does depends on the state, and the lock closes by itself.
#include <coppice/print.hpp>
#include <coppice/runtime.hpp>
#include <coppice/state_machine.hpp>

#include <string>

using namespace coppice;

enum class Lock { locked, open };

class CodeLock : public StateMachine<CodeLock, Lock> {
 public:
  struct Button { char digit; };
  struct Pass { using Reply = std::string; std::string who; };

  static constexpr Name<CodeLock> name{"CodeLock"};
  static void press(const std::string& digits) { for (char digit : digits) name.cast(Button{digit}); }
  static std::string pass(std::string who) { return name.call(Pass{std::move(who)}); }

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

  Transition handle_call(In<Lock::locked>, const Pass&, From<std::string>&) { return keep_state().postpone(); }  // waits
  Transition handle_call(In<Lock::open>, const Pass& pass, From<std::string>& from) {
    return keep_state().reply(from, pass.who + " goes in");
  }

 private:
  std::string code_;
  std::string pressed_;
};

int main() {
  return coppice::run([] {
    CodeLock::start_link("1234").value();
    CodeLock::press("1111");
    CodeLock::press("1234");
    print("{}\n", CodeLock::pass("ann"));
    sleep_for(150ms);                                     // it has locked itself by now
    auto bob = CodeLock::name.send_request(CodeLock::Pass{"bob"});
    CodeLock::press("1234");
    print("{}\n", wait_response(bob, 5s)->value());
    CodeLock::name.stop();
  });
}
