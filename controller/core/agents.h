// SPDX-License-Identifier: Apache-2.0
// controller/core/agents.h -- the agents: who is connected, what each shall have, and what it has acknowledged.
//
// Holders decides roles with SetRole and Drop; Flush turns what changed into one Snapshot or Delta an agent, with at
// most one unacknowledged version each, so that newer decisions coalesce behind a slow agent. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_AGENTS_H_
#define BERTH_CONTROLLER_CORE_AGENTS_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/sync/messages.h"
#include "controller/core/context.h"

namespace berth::core {

struct Agent {
  std::string node;
  StreamId stream = 0;                                 // 0: no contact
  sync::Hello hello;                                   // its newest; `interfaces` is kept up to date by Reports
  std::map<IpAddr, sync::AnnouncedAddress> announced;  // as it last said
  std::vector<sync::Conflict> conflicts;               // as it last said
  std::vector<sync::PeerState> peers;                  // as it last said
  std::vector<sync::NodeFinding> findings;             // as it last said
  std::int64_t wall_ns = 0;                            // its clock as it last told the time; 0: never
  absl::Time wall_heard = absl::InfinitePast();        // when it did
  int supersedes = 0;  // in a row: processes of this node that were told of a younger one, less than a minute apart
  absl::Time superseded_at = absl::InfinitePast();
  absl::Time last_heard = absl::InfinitePast();
  std::vector<absl::Time> losses;  // the last few, oldest first; not those on its way out
  bool leaving = false;            // SIGTERM: hands over, then ends
  bool control_lost = false;       // no contact, yet it answers on the LAN
  bool taking_over = false;        // came beside an older agent, and has not acknowledged anything yet
  std::string message;             // why it is not well, for people

  std::map<IpAddr, sync::Assignment> desired;
  std::map<IpAddr, sync::Rejection> rejections;  // of what it has now
  bool fresh = true;                             // needs a Snapshot before anything else
  std::uint64_t acked = 0;                       // newest version applied in this term
  struct InFlight {
    std::uint64_t version = 0;
    absl::Time sent;
    std::vector<IpAddr> addresses;
    TimerQueue::Id limit = 0;
  };
  std::optional<InFlight> in_flight;
  std::set<IpAddr> dirty;
  // The node's older agent, which answers until this one does. Until that one has confirmed that it changes nothing any
  // more and answers for nothing else than this one shall, this one is told nothing.
  struct Elder {
    StreamId stream = 0;
    std::map<IpAddr, sync::AnnouncedAddress> announced;  // as it last said
    std::optional<std::set<IpAddr>> told;                // what it was last told to answer on for
    bool confirmed = false;                              // and that it does so, by a Report
    TimerQueue::Id limit = 0;                            // of the confirmation
  };
  std::optional<Elder> elder;

  bool connected() const { return stream != 0; }
  std::vector<MacAddr> Macs() const;
  // Whether nothing about `address` is on its way: what the agent has is what it shall have.
  bool Settled(const IpAddr& address) const;
  // Whether it has `address`, for all that is known: it was told to, said so, or has not acknowledged that it shall
  // not.
  bool MayHave(const IpAddr& address) const;
};

std::map<IpAddr, sync::AnnouncedAddress> ByAddress(const std::vector<sync::AnnouncedAddress>& announced);

class Agents {
 public:
  struct Observer {
    // Contact was made, or made anew (a Hello in this term); contact was lost.
    std::function<void(Agent&)> on_contact;
    std::function<void(Agent&)> on_lost;
    // The agent has applied what it shall have of `address`: the role it has now, or none. `rejection` is set when it
    // could not.
    std::function<void(Agent&, const IpAddr&, const sync::Rejection*)> on_acked;
    std::function<void(Agent&)> on_interfaces;
    std::function<void(Agent&)> on_announced;
    std::function<void(Agent&)> on_conflicts;
    std::function<void(Agent&)> on_leaving;
    std::function<void(Agent&)> on_steady;  // it is not Unsteady any more
    std::function<void(const Agent&)> on_findings;
    std::function<void(Agent&, const sync::ProbeResult&)> on_probe_result;
    std::function<void(std::uint64_t)> on_higher_term;
    std::function<void(const Agent&)> on_known_changed;  // a node or its MACs are new
  };

  explicit Agents(Context& context)
      : ctx_(context), settings_{context.options.heartbeat, context.options.agent_timeout, {}} {}
  void SetObserver(Observer observer) { observer_ = std::move(observer); }

  void OnOpened(StreamId stream, const StreamPeer& peer);
  void OnMessage(StreamId stream, const sync::AgentMessage& message);
  void OnClosed(StreamId stream, const std::string& reason);

  // Leadership: while we lead in term T every agent in contact gets a Snapshot; while we do not, NotLeader.
  void BeginTerm();
  void EndTerm(const std::string& leader);
  // The start gate is open: from here on agents are told things.
  void OnStarted() { Stretch(); }

  // What `node` shall have of `assignment.address`. Equal to what it has already: nothing happens. `renew` makes the
  // decision new (a newer `since`) although nothing else changed.
  void SetRole(const std::string& node, sync::Assignment assignment, bool renew = false);
  void Drop(const std::string& node, const IpAddr& address);
  // What it was told to stand by for is void: it has just made contact, and gets a Snapshot.
  void ForgetStandbys(Agent& agent);
  const sync::Assignment* RoleOf(const std::string& node, const IpAddr& address) const;

  // Sends what changed to every agent in contact that has nothing unacknowledged.
  void Flush();
  // Agents whose last word is older than agent-timeout are lost. Arms its own timer.
  void CheckHeartbeats();
  // The process stood still: nobody is to blame for the silence.
  void ForgiveSilence();
  // Its Node object is gone: so is its agent, unless it is in contact, or answers on the LAN without. Whether anything
  // was known of it that is not any more. Its MACs are still told from strangers': a machine may outlive its object.
  bool Forget(const std::string& node);
  void ForgetMacs(const std::string& node);  // of a node of which Forget has left nothing

  Agent* Find(const std::string& node);
  const Agent* Find(const std::string& node) const;
  const std::map<std::string, Agent>& all() const { return agents_; }
  std::map<std::string, Agent>& all() { return agents_; }
  std::size_t connected_count() const;
  bool AnyOutOfContact() const;
  bool AnyControlLost() const;  // of these, one that answers on the LAN
  // The agent one of whose interfaces has this MAC, or empty.
  std::string NodeOfMac(const MacAddr& mac) const;
  // Agents in contact that hear the agent of `node` by its probes.
  std::vector<std::string> HearersOf(const std::string& node) const;
  // Agents known from before this process: they may be out there with addresses.
  void Remember(const std::vector<model::ClusterSource::KnownAgent>& known);
  // The same, before the start gate opens: whether a node is drained is as `known` says it, and no more as it was here.
  void Recall(const std::vector<model::ClusterSource::KnownAgent>& known);
  std::vector<model::ClusterSource::KnownAgent> Known() const;
  bool Knows(const std::string& node) const { return agents_.count(node) != 0 || known_.count(node) != 0; }
  // By order, until undrained; whoever leads next hears of it by Known.
  void SetDrained(const std::string& node, bool drained);
  bool Drained(const std::string& node) const { return drained_.count(node) != 0; }
  // It comes and goes: lost `unsteady_losses` times within `unsteady_time`, the last time less than that ago.
  bool Unsteady(const Agent& agent) const;
  const sync::Settings& settings() const { return settings_; }

 private:
  struct Stream {
    std::string peer;
    std::string node;         // empty before Hello
    bool superseded = false;  // nothing more is taken from it
  };
  void OnHello(StreamId stream, const sync::Hello& hello);
  void OnReport(Agent& agent, const sync::Report& report);
  void OnAnswered(Agent& agent, std::uint64_t term, std::uint64_t version, const sync::Rejected* rejected);
  void Lose(Agent& agent, const std::string& why);
  void CountLoss(Agent& agent);
  // Whether an agent that says Hello may speak for its node.
  enum class Room { kNone, kAlone, kBesideElder };
  Room MakeRoom(Agent& agent, StreamId stream, const sync::Hello& hello);
  void KeepElder(Agent& agent, StreamId stream, std::map<IpAddr, sync::AnnouncedAddress> announced);
  void EndElder(Agent& agent, const std::string& by_instance);
  void RecallElder(Agent& agent);
  void ForgetElder(Agent& agent);
  void HearElder(Agent& agent, const sync::AgentMessage& message);
  // Whether the older agent, if there is one, does what is needed for its successor to begin; tells it if not.
  bool ElderRetires(Agent& agent);
  void Supersede(StreamId older, const std::string& node, const std::string& by_instance);
  void FlushOne(Agent& agent);
  void Stretch();
  void NewPeerKey();
  void SendSettings();
  void LearnMacs(Agent& agent);

  Context& ctx_;
  sync::Settings settings_;
  Observer observer_;
  std::map<std::string, Agent> agents_;
  std::map<StreamId, Stream> streams_;
  std::map<MacAddr, std::string> node_of_mac_;
  std::map<std::string, std::vector<MacAddr>> known_;
  std::set<std::string> drained_;
  TimerQueue::Id heartbeat_timer_ = 0, key_timer_ = 0;
  std::string leader_;  // when it is not us
  bool leading_ = false;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_AGENTS_H_
