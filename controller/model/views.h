// SPDX-License-Identifier: Apache-2.0
// controller/model/views.h -- what the controller tells people, as plain values. The admin API prints them.
//
// proto/berth/admin/v1/admin.proto documents each field; this is its shape without protobuf.
#ifndef BERTH_CONTROLLER_MODEL_VIEWS_H_
#define BERTH_CONTROLLER_MODEL_VIEWS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/net/ip_range.h"
#include "common/sync/messages.h"
#include "controller/model/objects.h"

namespace berth::model {

struct PoolView {
  std::string name, range, interface;
  Protocol protocol = Protocol::kLayer2;
  bool disabled = false;
  AddressCount used, total;
  std::vector<IpAddr> conflicted;
  std::string message;   // refused spec, orphans, deletion that waits: empty when all is well
  bool trouble = false;  // `message` is more than good to know
};

enum class ServiceState : std::uint8_t { kAssigned, kPending, kIgnored };
struct ServiceView {
  ObjectId id;
  std::optional<Protocol> protocol;  // of its allocation, else as its annotation wishes
  std::vector<std::string> pools;    // of its allocations
  std::vector<IpAddr> addresses;
  ServiceState state = ServiceState::kPending;
  std::string reason, message;               // plan/reason.h; empty reason when there is nothing to say
  std::vector<std::string> ports;            // "80/TCP"
  std::vector<std::string> candidate_pools;  // the pools looked at, best first
};

enum class AddressState : std::uint8_t { kProbing, kAnnounced, kUnheld, kConflict };
struct AddressView {
  IpAddr address;
  std::string pool;
  Protocol protocol = Protocol::kLayer2;
  std::vector<ObjectId> services;
  std::string holder;                   // empty when nobody
  std::vector<std::string> candidates;  // best first
  AddressState state = AddressState::kUnheld;
  absl::Time since = absl::InfinitePast();  // wall time of the last change of state or holder
  std::string message;
  std::vector<std::string> refusals;  // "node2: interface eth0 has no carrier"
  std::string ordered = {};           // the node that it is moving to by order; empty when there is no order
};

enum class AgentState : std::uint8_t { kReady, kDraining, kControlLost, kLost, kRejected };
struct AgentView {
  std::string node;
  AgentState state = AgentState::kLost;
  std::string version;
  std::vector<sync::InterfaceInfo> interfaces;
  std::vector<IpAddr> announced;
  absl::Time last_heartbeat = absl::InfinitePast();  // wall time
  std::string message;
  // What the doctor judges by.
  bool drained = false;      // by order, until undrained
  std::size_t rejected = 0;  // addresses that it could not do as it was told
  int supersedes = 0;        // in the last minute: agents of this node that a younger one sent away
  std::optional<absl::Duration> clock_ahead = std::nullopt;  // of ours; negative: behind. Absent when it was not told
  std::vector<sync::NodeFinding> findings = {};              // what it finds wrong with its node
};

// One change, for `watch`. Exactly one of the optionals is set; `gone` means that the object is no more.
struct ChangeView {
  bool gone = false;
  std::optional<PoolView> pool;
  std::optional<ServiceView> service;
  std::optional<AddressView> address;
  std::optional<AgentView> agent;
};

// A node that is being drained: what leaves it, and what no other node can hold.
struct DrainView {
  AgentView agent;
  std::vector<IpAddr> moving;
  std::vector<AddressView> staying;  // `refusals` and `message` say why
};
// An address that changes its holder, or would.
struct MoveView {
  IpAddr address;
  std::string from, to;
};

struct StatusView {
  bool leader = false;
  bool synced = false;   // caches complete
  bool started = false;  // the start gate is open
  std::string leader_name;
  std::uint64_t term = 0;
  std::vector<std::string> problems;  // of the source: "web.yaml:12: ..."
  std::vector<std::string> missing =
      {};  // nodes whose agent is known from before and has not connected to this process
};

// Something that is wrong, or soon will be.
struct FindingView {
  using Severity = sync::NodeFinding::Severity;
  Severity severity = Severity::kWarning;
  std::string object;   // "pool web", "agent node2"
  std::string message;  // what is wrong
  std::string cure;     // what to do about it
  friend bool operator==(const FindingView&, const FindingView&) = default;
};

// What one agent heard when it asked the LAN who has an address.
struct LanAnswer {
  struct Speaker {
    MacAddr mac;
    std::string node;  // whose MAC it is; empty when no agent's
  };
  std::string asker;  // node
  bool asked = true;  // false: could not ask, see `message`
  std::vector<Speaker> heard;
  std::string message;
};
// What the LAN says about addresses that are announced and at rest.
struct LanCensus {
  struct Address {
    IpAddr address;
    std::string holder;
    std::vector<LanAnswer> answers;
  };
  std::size_t announced = 0;         // such addresses
  std::size_t asked = 0;             // those of them that were asked about
  std::vector<Address> addresses;    // those of them that stayed at rest meanwhile
  std::vector<std::string> unheard;  // nodes whose agent did not report in time
};

// What the admin service asks of the controller. All methods are for the loop thread.
class AdminBackend {
 public:
  virtual ~AdminBackend() = default;
  virtual std::vector<PoolView> Pools() const = 0;         // by name
  virtual std::vector<ServiceView> Services() const = 0;   // by namespace, name
  virtual std::vector<AddressView> Addresses() const = 0;  // by address
  virtual std::vector<AgentView> Agents() const = 0;       // by node
  // Errors: NotFound.
  virtual absl::StatusOr<ServiceView> ExplainService(const ObjectId& id) const = 0;
  virtual absl::StatusOr<AddressView> ExplainAddress(const IpAddr& address) const = 0;
  virtual StatusView Status() const = 0;
  // Orders. Taken at once, carried out within seconds. Errors: FailedPrecondition when this controller does not lead
  // (its text names the leader), NotFound for a node or address that is not known.
  virtual absl::StatusOr<DrainView> DrainNode(const std::string& node) = 0;
  virtual absl::StatusOr<AgentView> UndrainNode(const std::string& node) = 0;
  // `done` is called once the drains and undrains ordered so far survive a restart of this controller, or with why they
  // do not yet. Perhaps at once; not at all once the backend is gone.
  using Recorded = std::function<void(const absl::Status&)>;
  virtual void WhenDrainsRecorded(Recorded done) = 0;
  // FailedPrecondition also when that node cannot hold the address.
  virtual absl::StatusOr<AddressView> MoveAddress(const IpAddr& address, const std::string& node) = 0;
  // What moves; with `dry_run`, would move.
  virtual absl::StatusOr<std::vector<MoveView>> Rebalance(bool dry_run) = 0;
  // Has agents look at their nodes and ask the LAN. `done` is called once, within a second and perhaps at once, and the
  // views are up to date then; not at all once the backend is gone. On a standby nobody is asked.
  using Examined = std::function<void(const LanCensus&)>;
  virtual void Examine(Examined done) = 0;
  // Calls `on_change` on the loop thread for every later change until Unsubscribe; changes of one turn are coalesced.
  virtual std::uint64_t Subscribe(std::function<void(const std::vector<ChangeView>&)> on_change) = 0;
  virtual void Unsubscribe(std::uint64_t id) = 0;
};

}  // namespace berth::model

#endif  // BERTH_CONTROLLER_MODEL_VIEWS_H_
