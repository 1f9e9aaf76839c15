// SPDX-License-Identifier: Apache-2.0
// controller/model/source.h -- the seam to where objects live and where results are written back.
//
// Implementations: FilesSource (controller/files: a folder of manifests and a state folder), the Kubernetes source, and
// FakeSource (tests/fakes). All have the semantics of the API server, so that the core need not know which it is:
//   - a Service that is gone but still has allocations is shown with `deleting` until a write lets go of them;
//   - a write is conditional: it fails with Aborted when the Service's recorded part changed meanwhile;
//   - an outage never looks like a deletion.
// Methods are for the loop thread and never block long; the observer is called on the loop thread, never from within a
// method of the source.
#ifndef BERTH_CONTROLLER_MODEL_SOURCE_H_
#define BERTH_CONTROLLER_MODEL_SOURCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "controller/model/objects.h"

namespace berth::model {

// What changed, as whole new objects. Applied in one step: related changes of one moment arrive together.
struct ClusterDelta {
  std::vector<Pool> pools;
  std::vector<std::string> gone_pools;
  std::vector<Service> services;
  std::vector<ObjectId> gone_services;
  std::vector<Node> nodes;
  std::vector<std::string> gone_nodes;
  std::vector<Namespace> namespaces;
  std::vector<std::string> gone_namespaces;
  std::vector<EndpointSlice> slices;
  std::vector<ObjectId> gone_slices;
  bool empty() const;
};

// The Service's recorded part as it shall be. Everything travels in one write: allocations, finalizer and label (both
// present exactly while `allocations` is not empty or `hold` is set), condition.
struct ServiceWrite {
  std::uint64_t write_id = 0;  // chosen by the core, comes back in OnServiceWritten
  ObjectId id;
  std::string revision;  // of the object the decision was based on
  std::vector<Allocation> allocations;
  std::string managed_by;  // recorded with the allocations; see Service::managed_by
  bool hold = false;       // keep the finalizer although there is no allocation (release not finished)
  // berth.io/Assigned: machine-readable reason; empty when it has all it should, and when it is let go.
  std::string condition_reason;
  std::string condition_message;
  std::uint64_t told() const { return condition_reason.empty() ? 0 : Fingerprint(condition_reason, condition_message); }
};

// Services one of whose addresses nobody has announced for a while, and why.
using UnannouncedServices = std::map<ObjectId, std::string>;

// Derived, coalesced by the core to one a second for each pool at most; never read back to decide.
struct PoolStatus {
  std::string pool;
  std::string first_ip, last_ip;
  AddressCount total, used;
  bool ready = false;
  struct Used {
    IpAddr address;
    std::vector<ObjectId> services;
    friend bool operator==(const Used&, const Used&) = default;
  };
  std::vector<Used> used_list;
  struct Conflicted {
    std::string address, mac;  // `mac` of who answers for it, empty when that is not known
    friend bool operator==(const Conflicted&, const Conflicted&) = default;
  };
  std::vector<Conflicted> conflicted;
  std::vector<std::string> excluded;  // text of addresses
  std::string message;
  std::string deletion;  // while it is being deleted: for whom that waits
  bool hold = true;      // keep our finalizer: it is not being deleted, or somebody uses it
  friend bool operator==(const PoolStatus&, const PoolStatus&) = default;
};

// An Event for people to read (Kubernetes Event; a log line in the files source).
struct EventRecord {
  enum class Kind : std::uint8_t { kService, kPool, kBgpConf, kBgpPeer };
  Kind kind = Kind::kService;
  ObjectId object;  // all but Services are without a namespace
  bool warning = false;
  std::string reason;  // stable CamelCase, OpenELB's where it has one
  std::string message;
};

// What is wrong with objects as a source reads them: the whole present list.
struct Problems {
  std::vector<std::string> texts;            // "web.yaml:12: Eip \"a\": spec.address: ..."
  std::map<std::string, std::string> pools;  // of these, by Eip, what keeps it from being in force in any version
  friend bool operator==(const Problems&, const Problems&) = default;
};

class ClusterSource {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnDelta(const ClusterDelta& delta) = 0;
    // Everything that exists has been shown. Once; and again when the agents known could be read only later.
    virtual void OnSynced() = 0;
    // Leadership with its fencing term, already durable. `leader` false: stop deciding at once. A files source leads as
    // long as it holds the lock of its state folder.
    virtual void OnLeadership(bool leader, std::uint64_t term, const std::string& leader_name) = 0;
    // Ok: written; `revision` is the new one. Aborted: based on an old object, the newer one follows or has come by
    // OnDelta. NotFound: it is gone. Anything else: outcome unknown or failed, see the message.
    virtual void OnServiceWritten(std::uint64_t write_id, const absl::Status& status, const std::string& revision) = 0;
    // For the admin API, and for the reasons of Services that wait for such an Eip. Each time they change.
    virtual void OnProblems(const Problems& problems) = 0;
  };
  virtual ~ClusterSource() = default;
  virtual absl::Status Start(Observer& observer) = 0;
  virtual void Stop() = 0;
  virtual void WriteService(const ServiceWrite& write) = 0;  // at most one in flight for each Service
  virtual void WritePoolStatus(const PoolStatus& status) = 0;
  // All of them there are now. Said again when that changed; nothing is known before the first word of a term.
  virtual void WriteUnannounced(const UnannouncedServices& services) = 0;
  virtual void RecordEvent(const EventRecord& event) = 0;
  // Makes the term at least `at_least` by a conditional write; answered by OnLeadership.
  virtual void RaiseTerm(std::uint64_t at_least) = 0;
  // Agents known from before and what they spoke with; survives restarts where the source can keep it.
  struct KnownAgent {
    std::string node;
    std::vector<MacAddr> macs;
    bool drained = false;  // `berthctl drain`: its node shall hold nothing until `undrain`
    friend bool operator==(const KnownAgent&, const KnownAgent&) = default;
  };
  virtual std::vector<KnownAgent> KnownAgents() const = 0;  // valid once synced
  virtual void RememberAgents(const std::vector<KnownAgent>& agents) = 0;
  // `done` is called once all that RememberAgents was told survives a restart, or with why it does not yet (it is tried
  // again). Perhaps at once; not at all after Stop.
  using Remembered = std::function<void(const absl::Status&)>;
  virtual void WhenRemembered(Remembered done) = 0;
};

}  // namespace berth::model

#endif  // BERTH_CONTROLLER_MODEL_SOURCE_H_
