// SPDX-License-Identifier: Apache-2.0
// agent/core/core_impl.h -- the inside of AgentCore, for its own .cc files only.
//
//   core_events.cc   one function per event, and the order in which consequences are drawn (Settle)
//   core_desired.cc  what the controller wants: terms, snapshots, deltas, acknowledgements, the disk
//   core_kernel.cc   what the kernel has: the VIP interface, silence, addresses
//   core_chain.cc    the other agents, and what becomes of addresses while no leader is heard
//   core_voice.cc    what we answer for: gaining, muting, rivals and strangers
//   core_probe.cc    asking the LAN, for a leader or for ourselves
//   core_health.cc   what is wrong with the node
//   core_report.cc   what we tell: Hello, Report, Heartbeat, the log
#ifndef BERTH_AGENT_CORE_CORE_IMPL_H_
#define BERTH_AGENT_CORE_CORE_IMPL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/core/agent_core.h"
#include "agent/core/announcer.h"
#include "agent/core/conflicts.h"
#include "agent/core/prober.h"
#include "agent/diff/kernel_view.h"
#include "agent/health/judge.h"
#include "agent/peer/peers.h"
#include "agent/peer/seat.h"
#include "common/sync/candidate_pool.h"
#include "common/sync/interface_rule.h"

namespace berth::agent {

inline constexpr std::size_t kMostAddressLines = 10;        // log lines about single addresses in one turn
inline constexpr absl::Duration kGrace = absl::Seconds(1);  // for a leader's word, before we act without

// Why an address assigned to be announced is not answered for all the same.
enum class Mute : std::uint8_t {
  kNone,
  kUnconfirmed,  // known from the disk only
  kFrozen,       // this process stood still: others may have taken over
  kAway,         // its interface was off the LAN, or it was refused: others may have taken over, or be about to
  kRival,        // another candidate claims it
  kYielded,      // the successor that we were told to yield to claims it
};
absl::string_view MuteName(Mute mute);  // for the log: "this agent stood still"

enum class Voice : std::uint8_t {
  kSilent,
  kQueued,    // waits for its turn to send the first gratuitous frames
  kSpeaking,  // in the answer table
};

// Addresses with the same candidates and the same interface: most have one of a few such groups.
struct Group {
  sync::CandidateList candidates;
  std::string rule;
  IpAddr sample;  // one of its addresses: what the rule means for it, it means for the others with the same list
  std::uint32_t rank = 0;                                // ours among the candidates
  std::shared_ptr<const PortInterface> where;            // what the rule means here; null when it means nothing usable
  std::vector<std::shared_ptr<const peer::Path>> paths;  // by candidate; null: not probed
};

// An address that others hold, and this agent may come to. There are more of these than of any other: kept small.
struct Standby {
  std::shared_ptr<Group> group;
  sync::Stamp since;
  std::vector<sync::ServiceRef> services;
  peer::Seat seat;
  sync::Protocol protocol = sync::Protocol::kLayer2;
};

// There are thousands: what is the same in many of them is shared.
struct Entry {
  sync::Assignment assignment;
  std::shared_ptr<Group> group;                // null before the first Upsert only
  peer::Seat seat;                             // decides while no leader is heard, where other agents are probed
  std::uint32_t rank = 0;                      // ours among the candidates
  bool wants_local = false;                    // may and shall be made local here
  std::shared_ptr<const PortInterface> where;  // the interface it is to be announced on; null when none is usable
  std::unique_ptr<sync::Rejection> problem;    // keeps it from being in force; null mostly, so not worth room in each
  bool established = false;                    // silenced and made local (or needs neither)
  bool obstructed = false;                     // muted by a problem; the log has not told of its end yet
  absl::Time repaired_at = absl::InfinitePast();  // made local again after somebody took it off
  Mute mute = Mute::kNone;
  absl::Time decide_at = absl::InfiniteFuture();  // muted: when to go on without a leader's word
  bool outranked = false;                         // muted by a rival that is the better candidate
  bool retried_rival = false;                     // announced once more after a rival, without a leader
  bool continued = false;  // an older agent of this node announces it still: no frame is needed to begin
  Voice voice = Voice::kSilent;
  std::shared_ptr<const PortInterface> port;  // where it speaks or is about to; not null when it is not silent
};

class AgentCore::Impl {
 public:
  explicit Impl(AgentConfig config)
      : config_(std::move(config)), peers_(config_.node, config_.peer_process, config_.peer_seed) {}
  void Handle(const Event& event, absl::Time now, Effects& out);
  AgentStatus status() const;
  std::vector<sync::AnnouncedAddress> announced() const;

 private:
  // ---- core_events.cc
  void On(const Started& e);
  void On(const ElderGone&);
  void On(const LinkUp& e);
  void On(const LinkDown& e);
  void On(const FromController& e);
  void On(const KernelChanged& e);
  void On(const SilenceDisturbed& e);
  void On(const VipInterfaceDone& e);
  void On(const AddressesDone& e);
  void On(const SilenceDone& e);
  void NoteHostPorts(const absl::Status& status);
  void On(const CleanupDone& e);
  void On(const Seen& e);
  void On(const PortError& e);
  void On(const PortOpened& e);
  void On(const PeerReceived& e);
  void On(const NodeRead& e);
  void On(const Stored& e);
  void On(const Timer& e);
  void On(const Terminate& e);
  void NoticeFreeze();
  void Settle();
  void RunDue();
  void CheckLeft();
  absl::Time NextWake() const;
  void Leave(int code);

  // ---- core_desired.cc
  void Take(const sync::ControllerMessage& message);
  void Obey(const sync::Snapshot& m);
  void Obey(const sync::Delta& m);
  void Obey(const sync::ProbeRequest& m);
  void Obey(const sync::SettingsUpdate& m);
  void Obey(const sync::NotLeader& m);
  void Obey(const sync::Retire& m);
  void Obey(const sync::Superseded& m);
  void Obey(const sync::Cleanup& m);
  void Refuse(const sync::ControllerMessage& message, sync::RejectCode code, std::string text);
  void Upsert(const sync::Assignment& assignment, bool first_word, bool continued);
  void Drop(const IpAddr& address);
  void Begin(sync::Stamp stamp);
  void Resume();
  void Adopt(const sync::Settings& settings);
  void StandBy(const sync::Assignment& assignment, const peer::Seat& seat);
  void Fill(Entry& entry, const sync::Assignment& assignment);
  bool IsSettled(const IpAddr& address) const;
  void Acknowledge();
  void StoreNow();
  void StoreIfDue();
  void ReleaseHeld();
  void AdoptStored(const StoredState& stored, bool elder);
  void DiskDecidesAt(absl::Time at);

  // ---- core_kernel.cc
  void Reconcile();
  void CheckVip();
  void LoseVip();
  using Meaning = std::variant<std::shared_ptr<const PortInterface>, sync::Rejection>;
  // What rules mean here, as found in one turn: one name the same for all addresses.
  struct Links {
    std::map<std::string, absl::StatusOr<sync::InterfaceRule>> rules;
    std::map<std::pair<std::string, IpAddr>, Meaning> found;  // no address: for all
  };
  const Meaning& MeaningOf(const std::string& rule, const IpAddr& address, Links& links) const;
  void Judge(Entry& entry, Links& links);
  void Localize(Entry& entry, std::size_t& drifted);
  void RemoveLeftovers();
  void ReviewOps();
  bool IsLocal(const IpAddr& address) const;
  bool IsSilenced(const IpAddr& address) const;
  void UpdateSilence();
  // The kernel could not shut them, but perhaps will the next time.
  bool PortsToRetry() const { return !host_ports_status_.ok() && !absl::IsUnimplemented(host_ports_status_); }
  bool HandsOff() const { return cleaning_ || retiring_; }
  bool NeedsVip() const { return config_.vip_interface != "none"; }

  // ---- core_chain.cc
  peer::Self Self() const;
  std::shared_ptr<Group> GroupOf(sync::Assignment& assignment);
  void UpdateGroups(Links& links);
  bool Chained(const Group* group) const;
  peer::Scene SceneOf(const Group& group) const;
  sync::Stamp NextStamp();
  void BeginAlone();
  void ForgetChain();
  void PacePeers();
  void StepChain();
  void StepSeats();
  std::vector<Prober::Target> GatewaysOf(const PortInterface& port) const;
  bool EndChainProbe(const IpAddr& address, const sync::ProbeAnswer& answer, const std::set<int>& in_doubt);
  void TakeOver(const IpAddr& address);
  static sync::Assignment AssignmentOf(const IpAddr& address, const Standby& standby);
  void Doubtful(const IpAddr& address);
  void DoubtAll(const peer::Path& path);
  peer::Claim ClaimOf(const Entry& entry) const;
  void AskClaims();
  void HearQuestion(const peer::Incoming& in, std::vector<PeerPacket>& out);
  void HearClaimOf(const peer::Path& path, const peer::AddressClaim& told);
  void MuteInSeat(Entry& entry, Mute mute);
  void SendPeers(std::vector<PeerPacket> packets);

  // ---- core_voice.cc
  bool MaySpeak(const Entry& entry) const;
  void UpdateVoice(Entry& entry);
  void SpeakOn(Entry& entry);
  void Hush(Entry& entry);
  void MuteEntry(Entry& entry, Mute mute, absl::Time decide_at);
  void Unmute(Entry& entry);
  void MuteObstructed(Entry& entry);
  void LoseLeader();
  void Decide();
  void Speak();
  void SendGratuitous(const Entry& entry);
  void HearClaim(Entry& entry, const Sighting& sighting);
  void UpdatePorts();
  void PublishTable();

  // ---- core_probe.cc
  void ProbeOwn(const std::vector<IpAddr>& addresses);
  void AskLan();
  void EndOwnProbe(const Prober::Round& round);
  void AskLater(const std::function<bool(const Group&)>& concerned);
  void UsePort(const PortInterface& port);

  // ---- core_health.cc
  void ReadNodeIfDue();
  void JudgeNodeIfDue();
  NodeState StateOfNode() const;
  std::int64_t WallNs() const;

  // ---- core_report.cc
  void SayHello();
  void ReportChanges(bool gains_due);
  void BeatHeart();
  void Send(sync::AgentMessage message);
  void Write(Log::Level level, absl::string_view sentence,
             std::vector<std::pair<std::string, std::string>> fields = {});
  void WriteAddress(absl::string_view sentence, const IpAddr& address, absl::string_view key, absl::string_view value);
  std::vector<IpAddr> LocalMarked() const;

  template <typename T>
  void Emit(T effect) {
    out_->push_back(std::move(effect));
  }

  const AgentConfig config_;
  absl::Time now_;
  std::optional<absl::Time> last_now_;
  Effects* out_ = nullptr;
  // Held back until the answer table is out: nothing is removed while it is answered for, no frame leaves before its
  // answer would be noticed.
  Effects kernel_out_, frames_out_;
  bool passive_ = false;

  // The controller's link.
  bool link_up_ = false;
  bool link_was_up_ = false;   // ever
  bool leader_heard_ = false;  // the whole state has come on this stream
  bool standby_ = false;       // the other end says that it does not lead
  // Until then it is waited for to lead; then the next controller is dialled.
  absl::Time leave_standby_ = absl::InfiniteFuture();
  bool stream_stale_ = false;                    // asked for another stream; what still comes on this one is too old
  absl::Time linked_at_ = absl::InfinitePast();  // the link's last coming up
  absl::Time wake_at_ = absl::InfiniteFuture(), verdicts_at_ = absl::InfinitePast();
  absl::Time next_heartbeat_ = absl::InfiniteFuture();
  std::uint64_t heartbeat_sequence_ = 0;

  bool retiring_ = false;  // a newer agent of this node takes over: it has the kernel, and soon the addresses

  // Desired.
  std::uint64_t highest_term_ = 0;
  sync::Stamp state_;
  sync::Settings settings_;
  std::map<IpAddr, Entry> entries_;
  absl::btree_map<IpAddr, Standby> standbys_;  // none of those in entries_
  std::set<IpAddr> released_;                  // whose last Service is gone: may leave shared interfaces too
  bool sweep_ = false;                         // the disk's word has just begun to count
  bool authoritative_ = false;                 // a leader's or the disk's word says what is not ours any more
  absl::Time disk_decides_ = absl::InfiniteFuture();
  struct Unacknowledged {
    sync::Stamp stamp;
    std::set<IpAddr> waiting;  // not settled yet
    std::set<IpAddr> touched;
  };
  std::optional<Unacknowledged> unacked_;
  // A term that is new is on disk before it counts: what comes meanwhile waits here.
  std::deque<sync::ControllerMessage> held_;
  std::uint64_t term_store_ = 0;  // number of the Store that `held_` waits for, 0 for none
  absl::Time held_until_ = absl::InfiniteFuture();
  std::uint64_t store_number_ = 0;
  std::uint64_t stored_ = 0;  // the newest Store that was answered
  bool store_dirty_ = false;
  absl::Status store_status_;
  absl::Time next_store_ = absl::InfinitePast();

  // The kernel.
  std::shared_ptr<const KernelState> kernel_;
  KernelView view_;
  std::optional<VipInterface> vip_;
  bool vip_in_flight_ = false;
  absl::Status vip_status_;
  absl::Time vip_due_ = absl::InfinitePast();  // of the next EnsureVipInterface
  absl::Time vip_done_ = absl::InfinitePast();
  bool reconcile_ = false;
  struct Op {  // an address operation from being asked for until the kernel's state shows it
    bool add = false;
    bool in_flight = true;
    absl::Time done_at;
    absl::Status status;
  };
  std::map<std::pair<IpAddr, int>, Op> ops_;  // by address and interface
  absl::Time ops_review_ = absl::InfiniteFuture();
  std::optional<Silence> silence_applied_;
  Silence silence_asked_;  // of the ApplySilence in flight
  bool silence_in_flight_ = false, silence_disturbed_ = false;
  absl::Status silence_status_;
  absl::Status silence6_status_;    // why this kernel cannot keep silent about IPv6 addresses: then none is asked of it
  absl::Status host_ports_status_;  // why ports of the node's own are reachable through addresses
  absl::Time silence_retry_ = absl::InfinitePast();

  // The wire.
  Announcer announcer_;
  Prober prober_;
  Conflicts conflicts_;
  std::set<std::pair<absl::Time, IpAddr>> decisions_;
  std::uint64_t own_rounds_ = 0;
  // Of own rounds, the gateways asked: place in the round -> interface. Routers may have one link-local address on all
  // their links, so that the address does not tell which one answered.
  using GatewaysAsked = std::map<std::size_t, int>;
  std::map<std::uint64_t, GatewaysAsked> gateways_asked_;

  // The other agents.
  peer::Peers peers_;
  const peer::Timing timing_;
  sync::CandidatePool lists_;
  std::map<std::pair<const void*, std::string>, std::weak_ptr<Group>> groups_;  // by list and rule
  bool peers_paced_led_ = false;   // they are probed as while a leader is heard
  std::uint64_t own_version_ = 0;  // the highest that we made up ourselves
  bool chain_dirty_ = false;       // something that seats depend on changed
  absl::Time chain_next_ = absl::InfiniteFuture();
  std::set<IpAddr> doubtful_;  // whose seats want claims of others
  IpAddr claims_cursor_;       // the last of those asked about
  absl::Time claims_next_ = absl::InfiniteFuture();
  std::vector<PeerInterface> peer_interfaces_told_;
  bool peers_dirty_ = false;
  std::vector<sync::PeerState> peers_told_;
  std::map<int, PortInterface> ports_;  // every interface needed so far that is up
  std::vector<PortInterface> ports_told_;
  std::set<int> ports_open_;  // of these, those that are known to hear and answer
  struct BadPort {
    absl::Status status;
    absl::Time retry_at, good_at;  // reopened at; good again unless it fails until
  };
  std::map<int, BadPort> bad_ports_;
  bool table_dirty_ = true;
  absl::Time next_tick_ = absl::InfinitePast();

  // The node's health.
  NodeFacts facts_;
  absl::Duration wall_offset_;  // of the node's clock, from ours; once there are facts
  absl::Time facts_read_ = absl::InfinitePast();
  absl::Time facts_due_ = absl::InfinitePast(), findings_due_ = absl::InfinitePast();
  std::vector<sync::NodeFinding> findings_, findings_told_;
  bool asked_for_facts_ = false;  // by a census, which is answered by the time, too
  bool wall_wanted_ = false;

  // What we told.
  std::vector<sync::InterfaceInfo> interfaces_told_;
  bool announced_dirty_ = false, announced_urgent_ = false, conflicts_dirty_ = false;
  absl::Time next_report_ = absl::InfinitePast();  // of addresses gained; losses do not wait
  std::size_t address_lines_ = 0;                  // log lines about single addresses in this turn

  // The end.
  absl::Time leave_by_ = absl::InfiniteFuture();
  bool leaving_ = false, leaving_told_ = false, cleaning_ = false;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_CORE_IMPL_H_
