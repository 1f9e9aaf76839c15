// SPDX-License-Identifier: Apache-2.0
// tests/unit/agent/core/core_harness.h -- an AgentCore in a world of values: a kernel that obeys, a LAN that listens.
//
//   CoreHarness agent;
//   agent.Connect();
//   agent.Controller(agent.SnapshotOf(1, {Announce("192.0.2.10")}));
//   CHECK(agent.Answers("192.0.2.10"));
//
// Each event's effects are carried out on plain members, and their outcomes are fed back, until nothing is left. What a
// test wants to hold back or refuse, it says in `hold_...` and the `..._status` members.
#ifndef BERTH_TESTS_UNIT_AGENT_CORE_CORE_HARNESS_H_
#define BERTH_TESTS_UNIT_AGENT_CORE_CORE_HARNESS_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/core/agent_core.h"
#include "agent/effect/l2/arp_packet.h"
#include "common/sync/messages.h"
#include "tests/fakes/neighbour_frame.h"

namespace berth::agent {

inline IpAddr Ip(const std::string& text) { return *IpAddr::Parse(text); }
inline MacAddr Mac(const std::string& text) { return *MacAddr::Parse(text); }
inline const MacAddr kOurMac = Mac("02:00:00:00:00:0a");
inline const MacAddr kMacB = Mac("02:00:00:00:00:0b");
inline const MacAddr kMacC = Mac("02:00:00:00:00:0c");
inline const MacAddr kStranger = Mac("02:00:00:00:00:ee");
inline constexpr int kEth0 = 2, kBerth0 = 9, kKube = 5;

// Candidates of every assignment, best first: node-b, node-a (this one), node-c.
inline sync::Assignment Assign(const std::string& address, sync::Role role, sync::Stamp since = {1, 1}) {
  sync::Assignment a;
  a.address = Ip(address);
  a.interface = "eth0";
  a.role = role;
  a.since = since;
  a.candidates = {{"node-b", {kMacB}, ""}, {"node-a", {kOurMac}, ""}, {"node-c", {kMacC}, ""}};
  return a;
}
inline sync::Assignment Announce(const std::string& address, sync::Stamp since = {1, 1}) {
  return Assign(address, sync::Role::kAnnounce, since);
}

inline LinkAddress Own(const std::string& cidr) { return {*Cidr::Parse(cidr), false}; }
inline LinkAddress Ours(const std::string& address) {
  return {*Cidr::Make(Ip(address), FamilyBits(Ip(address).family())), true};
}

class CoreHarness {
 public:
  struct Sent {
    absl::Time at;
    int ifindex;
    ArpPacket packet;
  };

  explicit CoreHarness(std::optional<StoredState> stored = {}, AgentConfig config = Config())
      : core_(std::make_unique<AgentCore>(std::move(config))) {
    Link eth0;
    eth0.index = kEth0;
    eth0.name = "eth0";
    eth0.mac = kOurMac;
    eth0.up = eth0.carrier = true;
    eth0.addresses = {Own("192.0.2.1/24")};
    kernel.links = {eth0};
    start_ = {std::move(stored)};
  }

  static AgentConfig Config() {
    AgentConfig config;
    config.node = "node-a";
    config.instance_id = "instance-1";
    config.boot_id = "boot-1";
    config.version = "test";
    return config;
  }

  // The agent starts: what a test sets up before is the world it finds.
  void Start() {
    started_ = true;
    Feed(Started{start_, elder});
    ShowKernel();
  }
  void Connect() {
    if (!started_) Start();
    Feed(LinkUp{});
  }
  void Controller(sync::ControllerMessage message) { Feed(FromController{std::move(message)}); }
  void ShowKernel() { Feed(KernelChanged{std::make_shared<KernelState>(kernel)}); }
  void See(const std::string& address, const MacAddr& mac, int ifindex = kEth0) {
    Feed(Seen{{.ifindex = ifindex, .address = Ip(address), .mac = mac, .request = true, .gratuitous = true}});
  }

  static sync::Snapshot SnapshotOf(std::uint64_t version, std::vector<sync::Assignment> assignments,
                                   std::uint64_t term = 1) {
    sync::Snapshot s;
    s.term = term;
    s.version = version;
    s.assignments = std::move(assignments);
    return s;
  }
  static sync::Delta DeltaOf(std::uint64_t base, std::vector<sync::Assignment> upserts,
                             std::vector<sync::Removal> removals = {}, std::uint64_t term = 1) {
    return {.term = term,
            .base_version = base,
            .version = base + 1,
            .upserts = std::move(upserts),
            .removals = std::move(removals)};
  }

  void Feed(Event event) {
    queue_.push_back(std::move(event));
    while (!queue_.empty() && !exit_code) {
      const Event next = std::move(queue_.front());
      queue_.pop_front();
      Effects effects;
      core_->Handle(next, now, effects);
      for (Effect& e : effects) {
        history.push_back(e);
        std::visit([this](const auto& x) { Do(x); }, e);
      }
    }
  }
  // Time passes, with every timer fired on the way.
  void Advance(absl::Duration d) {
    const absl::Time until = now + d;
    while (!exit_code && wake <= until) {
      now = std::max(now, wake);
      wake = absl::InfiniteFuture();
      Feed(Timer{});
    }
    now = until;
  }
  // Time passes without the agent being run.
  void StandStill(absl::Duration d) { now += d; }
  void Forget() {
    history.clear();
    frames.clear();
    sent.clear();
  }

  // ---- what the world sees
  bool Answers(const std::string& address, int ifindex = kEth0) const {
    if (table == nullptr || now > answer_until) return false;
    const auto it = table->interfaces.find(ifindex);
    return it != table->interfaces.end() && it->second.answer.contains(Ip(address));
  }
  bool Local(const std::string& address, int ifindex = kBerth0) const {
    const Link* link = kernel.Find(ifindex);
    return link != nullptr && std::any_of(link->addresses.begin(), link->addresses.end(),
                                          [&](const auto& a) { return a.cidr.address() == Ip(address); });
  }
  std::size_t Gratuitous(const std::string& address) const {  // frames
    return static_cast<std::size_t>(std::count_if(frames.begin(), frames.end(), [&](const Sent& s) {
      return s.packet.gratuitous() && s.packet.sender_ip == Ip(address);
    }));
  }
  std::size_t Probes(const std::string& address) const {
    return static_cast<std::size_t>(std::count_if(frames.begin(), frames.end(), [&](const Sent& s) {
      return s.packet.sender_ip.is_unspecified() && s.packet.target_ip == Ip(address);
    }));
  }
  template <typename T>
  std::vector<T> All() const {  // messages to the controller of one kind, oldest first
    std::vector<T> all;
    for (const sync::AgentMessage& m : sent) {
      if (const T* t = std::get_if<T>(&m)) all.push_back(*t);
    }
    return all;
  }
  template <typename T>
  std::optional<T> Last() const {
    const std::vector<T> all = All<T>();
    return all.empty() ? std::nullopt : std::optional<T>(all.back());
  }
  template <typename T>
  std::size_t Effected() const {  // effects of one kind since Forget
    return static_cast<std::size_t>(
        std::count_if(history.begin(), history.end(), [](const Effect& e) { return std::holds_alternative<T>(e); }));
  }
  // Everything that touches kernel or LAN.
  std::size_t Touches() const {
    return Effected<AddAddress>() + Effected<RemoveAddress>() + Effected<ApplySilence>() + Effected<SendFrame>() +
           Effected<RemoveEverything>();
  }
  AgentCore& core() { return *core_; }
  // Of `kernel`; it must be there. ShowKernel tells the agent what was changed.
  Link& LinkAt(int index) {
    return *std::ranges::find_if(kernel.links, [&](const Link& link) { return link.index == index; });
  }

  KernelState kernel;
  bool elder = false;          // when it starts
  std::string vip = "berth0";  // what EnsureVipInterface finds or makes; empty: none
  Silence silence;             // in force
  absl::Status add_status, remove_status, silence_status, host_ports_status, vip_status, disk_status, cleanup_status;
  bool echo = true;  // each address added is shown by a new kernel state at once
  bool hold_disk = false, hold_adds = false, hold_silence = false, hold_opens = false;
  bool silence6 = true;  // whether the kernel has nftables for IPv6
  std::deque<Event> held;
  NodeFacts facts;                   // what ReadNode finds
  std::vector<std::string> read_of;  // the interfaces that it was last asked for
  std::function<absl::Time(absl::Time)> wall = [](absl::Time t) { return t + absl::Hours(24 * 365); };

  absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  absl::Time wake = absl::InfiniteFuture();
  absl::Time answer_until = absl::InfinitePast();
  std::shared_ptr<const AnswerTable> table;
  std::vector<PortInterface> ports;
  std::vector<Sent> frames;
  std::vector<sync::AgentMessage> sent;
  std::optional<StoredState> disk;
  std::optional<int> exit_code;
  std::vector<Effect> history;
  std::size_t conflicts = 0, repairs = 0, take_overs = 0;
  std::vector<PeerInterface> peer_interfaces;
  std::vector<PeerPacket> peer_packets;  // sent
  // Broken when an address became local before it was silenced, or lost its place while still answered for.
  bool order_broken = false;

 private:
  void Answer(bool hold, Event event) { (hold ? held : queue_).push_back(std::move(event)); }

  void Do(const EnsureVipInterface&) {
    if (!vip_status.ok() || vip.empty()) {
      Answer(false, VipInterfaceDone{vip_status, {}});
      return;
    }
    const int index = vip == "berth0" ? kBerth0 : vip == "kube-ipvs0" ? kKube : kEth0;
    if (kernel.Find(index) == nullptr) {
      Link link;
      link.index = index;
      link.name = vip;
      link.up = link.carrier = true;
      link.mac = Mac("02:00:00:00:99:00");
      kernel.links.push_back(link);
      Answer(false, KernelChanged{std::make_shared<KernelState>(kernel)});
    }
    Answer(false, VipInterfaceDone{{}, VipInterface{index, vip, vip == "berth0", "test"}});
  }
  void Do(const AddAddress& e) {
    if (!silence.addresses.contains(e.address)) order_broken = true;
    if (add_status.ok()) {
      LinkAt(e.ifindex).addresses.push_back(Ours(e.address.ToString()));
      if (echo) Answer(hold_adds, KernelChanged{std::make_shared<KernelState>(kernel)});
    }
    Answer(hold_adds, AddressesDone{{{e.ifindex, e.address, true, add_status}}});
  }
  void Do(const RemoveAddress& e) {
    if (Answers(e.address.ToString())) order_broken = true;
    if (!silence.addresses.contains(e.address)) order_broken = true;
    if (remove_status.ok()) {
      std::erase_if(LinkAt(e.ifindex).addresses,
                    [&](const LinkAddress& a) { return a.ours && a.cidr.address() == e.address; });
      Answer(false, KernelChanged{std::make_shared<KernelState>(kernel)});
    }
    Answer(false, AddressesDone{{{e.ifindex, e.address, false, remove_status}}});
  }
  void Do(const ApplySilence& e) {
    const bool six = std::any_of(e.silence.addresses.begin(), e.silence.addresses.end(),
                                 [](const IpAddr& address) { return address.is_v6(); });
    const absl::Status status =
        six && !silence6 ? absl::UnimplementedError("load the kernel with CONFIG_NF_TABLES_IPV6") : silence_status;
    if (status.ok()) {
      const Silence before = std::exchange(silence, e.silence);
      if (e.silence.keep_others) silence.addresses.insert(before.addresses.begin(), before.addresses.end());
    }
    Answer(hold_silence, SilenceDone{status, host_ports_status});
  }
  void Do(const RemoveEverything&) {
    if (cleanup_status.ok()) {
      for (Link& link : kernel.links) std::erase_if(link.addresses, [](const LinkAddress& a) { return a.ours; });
      silence = {};
      disk.reset();
    }
    Answer(false, CleanupDone{cleanup_status});
  }
  void Do(const SetInterfaces& e) {
    const std::vector<PortInterface> before = std::exchange(ports, e.interfaces);
    for (const PortInterface& port : ports) {
      const bool fresh =
          std::none_of(before.begin(), before.end(), [&](const auto& b) { return b.index == port.index; });
      if (fresh) Answer(hold_opens, PortOpened{port.index});
    }
  }
  void Do(const Publish& e) { table = e.table; }
  void Do(const AnswerUntil& e) { answer_until = e.until; }
  void Do(const SendFrame& e) {
    if (const std::optional<ArpPacket> told = ReadNeighbourFrame(e.frame)) frames.push_back({now, e.ifindex, *told});
  }
  void Do(const SetPeerInterfaces& e) { peer_interfaces = e.interfaces; }
  void Do(const SendPeer& e) { peer_packets.push_back(e.packet); }
  void Do(const ToController& e) { sent.push_back(e.message); }
  void Do(const Redial&) { queue_.push_back(LinkDown{"redialled"}); }
  void Do(const Store& e) {
    if (disk_status.ok()) disk = e.state;
    Answer(hold_disk, Stored{e.number, disk_status});
  }
  void Do(const ReadNode& e) {
    read_of = e.interfaces;
    facts.wall = wall(now);
    Answer(false, NodeRead{facts});
  }
  void Do(const WakeAt& e) { wake = e.time; }
  void Do(const Log&) {}
  void Do(const Count& e) {
    ++(e.what == Count::What::kConflict ? conflicts : e.what == Count::What::kDriftRepair ? repairs : take_overs);
  }
  void Do(const Exit& e) { exit_code = e.code; }

  std::unique_ptr<AgentCore> core_;
  std::deque<Event> queue_;
  std::optional<StoredState> start_;
  bool started_ = false;
};

// An agent that was sent `assignments` at its start.
inline CoreHarness Connected(std::vector<sync::Assignment> assignments) {
  CoreHarness agent;
  agent.Connect();
  agent.Controller(CoreHarness::SnapshotOf(1, std::move(assignments)));
  return agent;
}

// The same, once all that a gain brings with it is over and forgotten.
inline CoreHarness Settled(std::vector<sync::Assignment> assignments = {}) {
  CoreHarness agent = Connected(std::move(assignments));
  agent.Advance(absl::Seconds(12));
  agent.Forget();
  return agent;
}

}  // namespace berth::agent

#endif  // BERTH_TESTS_UNIT_AGENT_CORE_CORE_HARNESS_H_
