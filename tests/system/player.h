// SPDX-License-Identifier: Apache-2.0
// tests/system/player.h -- the inside of Play: one World and the history that befalls it.
//
//   player.cc        a history from its first step to its last rest
//   player_steps.cc  what each step does
#ifndef BERTH_TESTS_SYSTEM_PLAYER_H_
#define BERTH_TESTS_SYSTEM_PLAYER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/system/play.h"
#include "tests/system/world.h"

namespace berth::system {

class Player {
 public:
  explicit Player(const History& history);
  Outcome Play();

 private:
  static std::string NodeName(int number) { return absl::StrCat("node", number); }
  static std::string ControllerName(int number) { return number == 0 ? "a" : "b"; }
  static std::string PoolName(int number) { return absl::StrCat("pool", number); }
  IpAddr PoolAddress(int pool, int index) const;
  IpAddr AnyAddress(int index) const;  // of any pool

  // ---- player.cc
  void Rest(Restart restart);
  void Heal();
  void Populate();
  void Complain(const std::vector<std::string>& wrong, const std::string& when);
  void Complain(const std::string& wrong, const std::string& when);
  void RestartControllers();
  void RestartAgents();
  void ElectSomebody();
  bool failed() const { return !world_.violations.empty(); }

  // ---- player_steps.cc
  void Do(const Step& step);
  void DoObject(const Step& step);
  void DoNodeObject(const Step& step);
  void DoProcess(const Step& step);
  void DoController(const Step& step);
  void DoOrder(const Step& step);
  void DoNetwork(const Step& step);
  model::Service MakeService(const Step& step) const;
  model::ObjectId ServiceId(int number) const;
  void PutPool(int number);
  void DoPool(const Step& step);
  bool OnMessage(const FakeWire::Message& message);
  bool Strike(Fault fault, const FakeWire::Message& message);

  const History& history_;
  World world_;
  LanHost stranger_;
  std::optional<IpAddr> claimed_;  // by the stranger
  bool stranger_came_ = false;     // since the last rest
  std::optional<Step> fault_;      // waits for its message
  std::function<bool(const FakeWire::Message&)> watch_;
  Outcome outcome_;
};

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_PLAYER_H_
