// SPDX-License-Identifier: Apache-2.0
// common/sync/messages.h -- what controller and agents say to each other, as plain values.
//
// proto/berth/agent/v1/agent.proto is the wire form and the reference; push/ (controller side) and link/ (agent side)
// translate, so that both cores and the tests that run a whole cluster in one process never touch protobuf.
#ifndef BERTH_COMMON_SYNC_MESSAGES_H_
#define BERTH_COMMON_SYNC_MESSAGES_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/net/cidr.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::sync {

// How an address is announced. OpenELB: Eip.spec.protocol.
enum class Protocol : std::uint8_t { kLayer2, kBgp, kVip };

// What an agent does with an address it is told of. An address it is not told of is not there.
enum class Role : std::uint8_t {
  kPrepare,   // make it local, stay silent, acknowledge: the next holder of a planned move, or of a failover under probe
  kAnnounce,  // make it local, send gratuitous frames on gaining it, answer for it
  kMute,      // keep it local and go on forwarding, but do not answer: the former holder of a planned move
  kStandby,   // not local, silent: watch the candidates before this one, and take over without a leader's word when all
              // of them are silent and no leader is heard (docs/candidates-chain.md)
};

// Orders states across leaders: the term of leadership, then the version within it. Between rivals the higher wins.
struct Stamp {
  std::uint64_t term = 0;
  std::uint64_t version = 0;
  friend auto operator<=>(const Stamp&, const Stamp&) = default;
};

struct Candidate {
  std::string node;
  std::vector<MacAddr> macs;    // of the interfaces that carry the address; what the LAN sees this node speak with
  std::string probe_endpoint;   // HOST:PORT for agent-to-agent probes, may be empty
  friend auto operator<=>(const Candidate&, const Candidate&) = default;
};

// Candidates of an address, best first. Thousands of addresses have the same few lists: a copy shares the list.
class CandidateList {
 public:
  using List = std::vector<Candidate>;
  CandidateList() = default;
  CandidateList(List list) {  // NOLINT(google-explicit-constructor): a list is one
    if (!list.empty()) list_ = std::make_shared<const List>(std::move(list));
  }
  CandidateList(std::initializer_list<Candidate> list) : CandidateList(List(list)) {}

  const Candidate* begin() const { return list_ == nullptr ? nullptr : list_->data(); }
  const Candidate* end() const { return begin() + size(); }
  std::size_t size() const { return list_ == nullptr ? 0 : list_->size(); }
  bool empty() const { return list_ == nullptr; }
  const Candidate& operator[](std::size_t i) const { return (*list_)[i]; }
  // Of all copies of one list the same, and of no other list while one of them is there.
  const void* identity() const { return list_.get(); }
  bool shared() const { return list_.use_count() > 1; }

  friend bool operator==(const CandidateList& a, const CandidateList& b) {
    return a.list_ == b.list_ || std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  friend bool operator<(const CandidateList& a, const CandidateList& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::shared_ptr<const List> list_;
};

struct PortRef {
  std::string protocol;  // "TCP", "UDP", "SCTP"
  std::uint16_t port = 0;
  friend bool operator==(const PortRef&, const PortRef&) = default;
};

struct ServiceRef {
  std::string ns, name;
  std::vector<PortRef> ports;
  friend bool operator==(const ServiceRef&, const ServiceRef&) = default;
};

struct Assignment {
  IpAddr address;
  Protocol protocol = Protocol::kLayer2;
  std::string interface;  // the Eip's rule, for example "eth0"; each agent resolves it against its own links
  Role role = Role::kPrepare;
  Stamp since;            // the state in which this role was decided
  CandidateList candidates;  // best first; an agent's rank is its place in it. The holder is first once there is one
  // For a holder that is being relieved: mute as soon as one of these MACs announces the address.
  std::vector<MacAddr> yield_to;
  std::vector<ServiceRef> services;
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

// An address the agent shall no longer have. `released` means that no Service has it any more, so it may also be taken
// off an interface that others share with us (kube-ipvs0); otherwise it only moved elsewhere.
struct Removal {
  IpAddr address;
  bool released = false;
  friend bool operator==(const Removal&, const Removal&) = default;
};

// A secret by which agents know each other's probes.
struct PeerKey {
  std::uint64_t id = 0;  // a newer key has a higher one
  std::string secret;    // 32 bytes
  friend bool operator==(const PeerKey&, const PeerKey&) = default;
};

struct Settings {
  absl::Duration heartbeat = absl::Milliseconds(200);
  absl::Duration agent_timeout = absl::Milliseconds(600);
  std::vector<PeerKey> peer_keys;  // newest first; none: agents do not probe each other
  friend bool operator==(const Settings&, const Settings&) = default;
};

// ---- controller to agent ----------------------------------------------------------------------------------------------

struct Snapshot {  // the whole desired state; always first in a term
  std::uint64_t term = 0, version = 0;
  Settings settings;
  std::vector<Assignment> assignments;
  std::vector<Removal> removals;  // of what the Hello said is local: which of it is gone, and which was released
  // Announced by an older agent of this node until the Snapshot is answered: taken over without a frame.
  std::vector<IpAddr> continued;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};
struct Delta {  // applies to `base_version` of the same term only
  std::uint64_t term = 0, base_version = 0, version = 0;
  std::vector<Assignment> upserts;
  std::vector<Removal> removals;
  friend bool operator==(const Delta&, const Delta&) = default;
};
enum class ProbeKind : std::uint8_t {
  kNewAddress,  // RFC 5227 probing before an address is given out: several requests, ends at `timeout`
  kTakeOver,    // does anybody still answer? ends for each address with its first answer, or at `timeout`
  kCensus,      // everybody who answers, the agent itself included; ends at `timeout`. The agent looks at its node, too
};
struct ProbeTarget {
  IpAddr address;
  std::string interface;  // rule, as in Assignment
  friend bool operator==(const ProbeTarget&, const ProbeTarget&) = default;
};
struct ProbeRequest {
  std::uint64_t term = 0, id = 0;  // ids are unique within a term and agent
  ProbeKind kind = ProbeKind::kNewAddress;
  absl::Duration timeout;
  std::vector<ProbeTarget> targets;
  friend bool operator==(const ProbeRequest&, const ProbeRequest&) = default;
};
struct SettingsUpdate {
  std::uint64_t term = 0;
  Settings settings;
  friend bool operator==(const SettingsUpdate&, const SettingsUpdate&) = default;
};
struct NotLeader {
  std::uint64_t term = 0;
  std::string leader;  // may be empty when unknown
  friend bool operator==(const NotLeader&, const NotLeader&) = default;
};
// A newer instance of this node is about to take over: leave the kernel alone and answer on for these addresses only, until
// Superseded or the stream's end. Answered by a Report of what is announced from now on.
struct Retire {
  std::uint64_t term = 0;
  std::vector<IpAddr> answer_on;
  friend bool operator==(const Retire&, const Retire&) = default;
};
struct Superseded {  // a newer instance of this node has taken over: fall silent, leave the kernel to it
  std::uint64_t term = 0;
  std::string by_instance;
  std::string message;
  friend bool operator==(const Superseded&, const Superseded&) = default;
};
struct Cleanup {  // take everything off this node
  std::uint64_t term = 0;
  friend bool operator==(const Cleanup&, const Cleanup&) = default;
};
using ControllerMessage =
    std::variant<Snapshot, Delta, ProbeRequest, SettingsUpdate, NotLeader, Superseded, Cleanup, Retire>;

// The term that a controller message carries.
std::uint64_t TermOf(const ControllerMessage& message);

// ---- agent to controller ----------------------------------------------------------------------------------------------

inline constexpr std::size_t kMaxRoutes = 64;  // of an interface, the widest
struct InterfaceInfo {  // only what can carry addresses for the LAN: no loopback, no kube-ipvs0, not our own interface
  std::string name;
  MacAddr mac;
  bool up = false;  // administratively up and with carrier
  std::vector<Cidr> prefixes;       // the node's own addresses with their prefix; never Berth's
  std::vector<IpAddr> gateways;     // next hops of routes through it
  std::vector<Cidr> routes;         // what is reached by a gateway on it, 0.0.0.0/0 for the default; see kMaxRoutes
  friend bool operator==(const InterfaceInfo&, const InterfaceInfo&) = default;
};
struct AnnouncedAddress {  // an address this agent answers for now
  IpAddr address;
  std::vector<std::string> interfaces;
  Stamp since;              // from the assignment that made it announce
  std::uint32_t rank = 0;   // its place among that assignment's candidates
  bool repeating = false;   // its first frames are still being repeated; that they end is not reported
  friend bool operator==(const AnnouncedAddress&, const AnnouncedAddress&) = default;
};
struct Conflict {  // somebody who is no candidate claims an address
  IpAddr address;
  std::string interface;
  MacAddr mac;
  friend bool operator==(const Conflict&, const Conflict&) = default;
};
struct Hello {  // always first on a stream
  std::string node;
  std::string instance_id;     // unique per process
  std::string boot_id;         // of the node's kernel
  std::int64_t started_ns = 0; // CLOCK_BOOTTIME at process start: orders instances of one boot
  std::string version;         // software
  std::uint64_t highest_term = 0;  // seen from anybody, kept on disk
  Stamp state;                 // newest state held
  std::vector<InterfaceInfo> interfaces;
  std::vector<AnnouncedAddress> announced;
  std::vector<IpAddr> local;   // addresses Berth made local on this node and that are there still
  std::string probe_endpoint;  // of --peer-listen: HOST:PORT, ":PORT" for all its addresses, or empty
  std::int64_t wall_ns = 0;    // wall clock when it was said, nanoseconds since 1970; 0: not told
  bool layer2_off = false;     // it answers for no address by ARP or NDP
  friend bool operator==(const Hello&, const Hello&) = default;
};
struct Heartbeat {
  std::uint64_t sequence = 0;
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
struct Applied {
  std::uint64_t term = 0, version = 0;
  friend bool operator==(const Applied&, const Applied&) = default;
};
enum class RejectCode : std::uint8_t {
  kUnspecified, kInterfaceMissing, kInterfaceDown, kAddressConflict, kNetlinkError, kSilenceUnavailable,
  kOwnAddress, kUnsupported, kStaleTerm, kBadBaseVersion,
};
// Why a node whose agent says Hello::layer2_off holds nothing.
inline constexpr char kLayer2Off[] = "layer 2 is off on this node (berth-agent --enable-layer2=false)";
struct Rejection {
  std::optional<IpAddr> address;  // absent: the whole version
  RejectCode code = RejectCode::kUnspecified;
  std::string message;
  std::optional<MacAddr> rival;
  friend bool operator==(const Rejection&, const Rejection&) = default;
};
struct Rejected {  // everything in that version that is not named here is in force
  std::uint64_t term = 0, version = 0;
  std::uint64_t seen_term = 0;  // with kStaleTerm: the term that made the agent refuse
  std::vector<Rejection> rejections;
  friend bool operator==(const Rejected&, const Rejected&) = default;
};
struct ProbeAnswer {
  IpAddr address;
  bool probed = true;          // false: could not be asked, see `message`
  std::vector<MacAddr> macs;   // who answered, none when silent
  std::string message;
  friend bool operator==(const ProbeAnswer&, const ProbeAnswer&) = default;
};
struct ProbeResult {
  std::uint64_t term = 0, id = 0;
  std::vector<ProbeAnswer> answers;
  friend bool operator==(const ProbeResult&, const ProbeResult&) = default;
};
struct PeerState {  // another agent, as this one finds it by probes
  std::string node;
  bool heard = false;  // it answers on every interface on which it is probed
  friend bool operator==(const PeerState&, const PeerState&) = default;
};
inline constexpr std::size_t kMaxFindings = 64;  // of a node
struct NodeFinding {  // something on the node that keeps addresses from being served, or may
  enum class Severity : std::uint8_t {
    kWarning,
    kError,  // some Service cannot be reached through this node, or could not be
  };
  Severity severity = Severity::kWarning;
  std::string message;  // what is wrong
  std::string cure;     // what to do about it
  friend bool operator==(const NodeFinding&, const NodeFinding&) = default;
};
struct Report {  // sections that are absent have not changed since the last Hello or Report
  std::optional<std::vector<InterfaceInfo>> interfaces;
  std::optional<std::vector<AnnouncedAddress>> announced;
  std::optional<std::vector<Conflict>> conflicts;
  std::optional<std::vector<PeerState>> peers = std::nullopt;  // by node
  bool leaving = false;   // SIGTERM: hand my addresses over, then I end
  std::optional<std::vector<NodeFinding>> findings = std::nullopt;  // the worst first, at most kMaxFindings
  std::int64_t wall_ns = 0;  // as in Hello; in the answer to a census
  bool cleaned = false;  // after Cleanup: nothing of ours is left on the node, and I end
  friend bool operator==(const Report&, const Report&) = default;
};
using AgentMessage = std::variant<Hello, Heartbeat, Applied, Rejected, ProbeResult, Report>;

}  // namespace berth::sync

#endif  // BERTH_COMMON_SYNC_MESSAGES_H_
