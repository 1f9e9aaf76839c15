// SPDX-License-Identifier: Apache-2.0
// tests/system/invariants.h -- what must be so at every moment of a World, whatever happens to it.
//
// World asks Check after every step of time; nothing that can change an answer happens between two steps. What is
// found goes to World::Violation. Each check names the promise it holds Berth to:
//
//   owners      an address has one owner, or owners that share it and whose ports do not clash; it was given by an Eip
//               that allowed it; it stays until its Service lets go, or was edited; it has a new owner only when nobody
//               answers for the old one
//   announcers  among agents in contact with the leader one answers for an address, but for 5 ms round a gratuitous
//               frame, and only for addresses that are given out; on a LAN that loses nothing the same goes for all
//               agents; nobody takes an address over from an agent that answers for it
//   speech      a new leader speaks only when all known agents have said Hello, or after the start wait; an agent
//               acknowledges no lower term than it did before
//   silence     no kernel answers for an address of Berth's
#ifndef BERTH_TESTS_SYSTEM_INVARIANTS_H_
#define BERTH_TESTS_SYSTEM_INVARIANTS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/system/world.h"

namespace berth::system {

class Invariants {
 public:
  explicit Invariants(World& world);
  void Check();

 private:
  static constexpr absl::Duration kContact = absl::Milliseconds(50);  // until an agent's contact counts
  struct Speaker {
    IpAddr address;
    const Node* node;
    const AgentProcess* process;
    absl::Time since;
  };
  using Owners = std::map<IpAddr, std::map<model::ObjectId, model::Allocation>>;

  bool NoteLan();
  bool NoteAgent(Node& node, AgentProcess& process);
  void NotePools();
  void NoteEdits();
  void Excuse(const model::ObjectId& service);
  void CheckOwners();
  void CheckJoin(const model::ObjectId& id, const model::Allocation& allocation, const Owners& before);
  void CheckLoss(const model::ObjectId& id, const IpAddr& address, const Owners& now);
  void CheckAnnouncers();
  void CheckSpeakersOf(const std::vector<Speaker>& speakers);
  void CheckKernel(Node& node);
  void OnFrame(const VirtualLan::Captured& frame);
  bool OnMessage(const FakeWire::Message& message);
  void CheckStartGate(const FakeWire::Message& message);
  // Whether the node's assignment of `address`, as it is on its disk, names the owner of `mac`.
  static bool Knows(const Node& node, const IpAddr& address, const MacAddr& mac);
  bool ReleasedInThisTerm(const IpAddr& address) const;

  World& world_;
  std::uint64_t cluster_seen_ = 0;
  Owners owners_;
  std::map<model::ObjectId, model::Service> asked_;  // by their users, without what is recorded of them
  std::set<model::ObjectId> excused_;                // edited since they came: their addresses may go
  std::map<std::string, absl::Time> allowed_until_;  // Eip -> it gave out addresses then; InfiniteFuture: it does
  struct Released {
    absl::Time at;
    std::uint64_t term;
  };
  std::map<IpAddr, Released> released_;
  std::map<IpAddr, absl::Time> last_gratuitous_;
  std::map<std::string, std::set<std::string>> greeted_;  // controller -> nodes that said Hello to its process
  std::map<std::string, const Controller*> process_of_;   // of those
  bool doubled_ = false;                                  // two answer for something now
  absl::Time look_at_ = absl::InfinitePast();             // an agent's contact has settled then
};

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_INVARIANTS_H_
