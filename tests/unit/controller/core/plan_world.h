// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/core/plan_world.h -- the controller's core in a small world: a source that keeps records, three
// nodes whose agents answer or do not, and a judge who looks on at every step.
//
// Everything that the core is told and everything that it asks for passes through here, so that it can come late, twice
// or never. Virtual time; nothing happens but by a call. Promises are checked against plan_oracle.h; a broken one
// throws Broken.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_WORLD_H_
#define BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_WORLD_H_

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "controller/core/controller_core.h"
#include "tests/unit/controller/core/plan_oracle.h"

namespace berth::core {

inline constexpr int kNodes = 3;

class PlanWorld {
 public:
  struct Setup {
    plan::Rules rules;
    bool agents = true;
  };
  explicit PlanWorld(Setup setup);

  // ---- what people do
  void EditPool(const std::string& name, const std::function<void(model::Pool&)>& edit);  // makes it if need be
  void DeletePool(const std::string& name, bool force);
  void VanishPool(const std::string& name);
  void EditService(const model::ObjectId& id, const std::function<void(model::Service&)>& edit);
  void DeleteService(const model::ObjectId& id);
  void VanishService(const model::ObjectId& id);  // without waiting for its finalizer
  void Tamper(const model::ObjectId& id);         // a foreign writer empties its ingress
  void Label(const std::string& ns, model::Labels labels);
  // ---- what agents do
  void Connect(int node);
  void Cut(int node);    // the agent lives on, and goes on answering the LAN
  void Leave(int node);  // it says so; it ends when it is cut, or at rest
  void Interfaces(int node, std::vector<sync::InterfaceInfo> interfaces);
  void Slow(int node, bool slow);  // it reads nothing until at rest
  void Stranger(const IpAddr& address, bool there);
  // ---- what goes wrong
  enum class Fault { kNone, kAnswerLost, kNotDone };
  void NextWrite(Fault fault) { fault_ = fault; }
  void HoldWrites(bool hold);
  void HoldWatch(bool hold);
  void Advance(absl::Duration by);
  // Another process takes over, with other flags perhaps; what was on its way is done or not.
  void Restart(plan::Rules rules, bool pending_writes_land);
  // The same process ceases to lead, and leads again in a later term.
  void StepDown();

  // Lets everything arrive and come to rest, then checks that nobody waits for what he could have.
  void Rest();
  // At rest: what everybody has, and why not.
  std::map<model::ObjectId, std::vector<model::Allocation>> Allocations() const;
  // At rest: what a process that begins anew must find just so: the state and the reason of each Service.
  std::map<model::ObjectId, std::string> Words() const;
  // At rest: who asks for something else than what it has.
  std::set<model::ObjectId> Unmet() const;
  // Whether something else is known only to the running process: conflicts, quarantine, agents out of contact.
  bool HasMemory() const;
  // Whether some Eip is not in force as it is written, which only the running process knows.
  bool Refuses() const;
  int writes() const { return writes_; }
  const plan::Rules& rules() const { return setup_.rules; }
  const model::Service* Find(const model::ObjectId& id) const;

 private:
  struct TestAgent {
    sync::Hello hello;
    StreamId stream = 0;  // 0: not connected
    bool wanted = false;  // dials again when its stream is ended
    bool slow = false, leaving = false;
    std::map<IpAddr, sync::Assignment> has;
    std::set<IpAddr> announces;
    std::deque<sync::ControllerMessage> inbox;
  };
  using Claims = std::vector<plan::Claim>;
  struct Pending {
    model::ServiceWrite write;
    Fault fault = Fault::kNone;
    Claims claims, claims_before;  // when it was written, and before the event that led to it
  };

  void Start();
  void StartAgents();
  void EndLeaving();
  void Redial();
  void Hear(const FromAgent& event);
  void Feed(const std::vector<Event>& events);
  void Drain();
  void Flush();
  void Changed(const model::ObjectId& id);
  void ChangedPool(const std::string& name);
  void Carry(const WriteService& e);
  void Carry(const SendToAgent& e);
  void Carry(const CloseStream& e);
  void Carry(const WritePoolStatus& e);
  void Carry(const RaiseTerm& e);
  void Carry(const RememberAgents& e) { known_agents_ = e.agents; }
  void Carry(const WakeAt& e) { wake_ = e.at; }
  template <typename Other>
  void Carry(const Other&) {}
  absl::Status Land(const Pending& pending, Fault fault, std::string* revision);
  void LandAll();
  void Take(TestAgent& agent, const sync::ControllerMessage& message);
  void Apply(TestAgent& agent, std::uint64_t term, std::uint64_t version);
  void Say(const TestAgent& agent, sync::AgentMessage message);
  sync::ProbeResult Probe(const TestAgent& agent, const sync::ProbeRequest& request) const;
  void CheckWrite(const model::ServiceWrite& write);
  void CheckLanding(const Pending& pending, const std::vector<model::Allocation>& had) const;
  void CheckWords();
  void CheckRecords();
  Facts TheFacts() const;
  std::set<IpAddr> Blocked() const;
  Claims ClaimsNow() const;

  Setup setup_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  absl::Time wake_ = absl::InfiniteFuture();
  std::unique_ptr<ControllerCore> core_;
  std::deque<Event> queue_;
  int writes_ = 0;
  std::size_t changes_ = 0;  // of what agents announce

  // The source.
  std::map<std::string, model::Pool> pools_;
  std::map<model::ObjectId, model::Service> services_;
  std::map<std::string, model::Labels> namespaces_;
  std::vector<model::ClusterSource::KnownAgent> known_agents_;
  std::uint64_t revision_ = 0, term_ = 0;
  std::set<std::string> dirty_pools_, dirty_namespaces_;
  std::set<model::ObjectId> dirty_services_;
  bool hold_watch_ = false, hold_writes_ = false;
  std::deque<Pending> pending_;
  Fault fault_ = Fault::kNone;

  // The LAN.
  std::array<TestAgent, kNodes> agents_;
  StreamId last_stream_ = 0;
  std::map<StreamId, std::string> node_of_stream_;
  std::set<int> redial_;  // nodes whose stream was ended by the controller
  std::set<IpAddr> strangers_;

  // What the core has been told.
  std::map<std::string, model::Pool> before_;  // the Eips in force before the event in hand
  std::set<IpAddr> blocked_before_;
  Claims claims_before_;  // and what was claimed
  std::map<std::string, std::vector<sync::InterfaceInfo>> heard_interfaces_;
  std::map<std::string, model::Labels> shown_namespaces_;
  std::map<model::ObjectId, model::Service> shown_;
  std::map<std::uint64_t, model::ServiceWrite> sent_;                   // not answered yet
  std::map<model::ObjectId, std::vector<model::Allocation>> repeated_;  // of a write that failed and is repeated
};

}  // namespace berth::core

#endif  // BERTH_TESTS_UNIT_CONTROLLER_CORE_PLAN_WORLD_H_
