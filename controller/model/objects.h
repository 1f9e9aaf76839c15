// SPDX-License-Identifier: Apache-2.0
// controller/model/objects.h -- the cluster's objects, reduced to the fields Berth uses. Plain values, no behaviour.
//
// A ClusterSource fills them; plan reads them. Field comments name the Kubernetes or OpenELB field they come from.
#ifndef BERTH_CONTROLLER_MODEL_OBJECTS_H_
#define BERTH_CONTROLLER_MODEL_OBJECTS_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/time/time.h"
#include "common/net/ip_addr.h"
#include "common/net/ip_range.h"
#include "common/sync/messages.h"

namespace berth::model {

using Protocol = sync::Protocol;
using Labels = absl::btree_map<std::string, std::string>;  // few entries: smaller than a tree of nodes

// "bgp", "layer2", "vip": OpenELB's words.
absl::string_view ProtocolName(Protocol protocol);
std::optional<Protocol> ParseProtocol(absl::string_view text);

// namespace/name of a namespaced object.
struct ObjectId {
  std::string ns, name;
  std::string ToString() const { return ns + "/" + name; }
  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ObjectId& id) { return out << id.ToString(); }
  template <typename H>
  friend H AbslHashValue(H h, const ObjectId& id) {
    return H::combine(std::move(h), id.ns, id.name);
  }
};

// A Kubernetes LabelSelector; matches everything when empty.
struct LabelSelector {
  struct Requirement {
    std::string key;
    std::string op;  // In, NotIn, Exists, DoesNotExist
    std::vector<std::string> values;
    friend bool operator==(const Requirement&, const Requirement&) = default;
  };
  Labels match_labels;
  std::vector<Requirement> match_expressions;
  bool Matches(const Labels& labels) const;
  friend bool operator==(const LabelSelector&, const LabelSelector&) = default;
};

// An Eip (network.kubesphere.io/v1alpha2): a pool of addresses.
struct Pool {
  std::string name;
  std::string address_text;                    // spec.address as written, for columns and messages
  IpRangeSet addresses;                        // spec.address parsed: one family
  Family family = Family::kIpv4;               // of `addresses`
  Protocol protocol = Protocol::kBgp;          // spec.protocol; OpenELB's default is bgp
  std::string interface;                       // spec.interface: a rule that each agent resolves
  bool disable = false;                        // spec.disable: no new allocations
  std::int64_t priority = 0;                   // spec.priority: lower first, among namespace-bound pools
  std::vector<std::string> namespaces;         // spec.namespaces
  std::optional<Labels> namespace_selector;    // spec.namespaceSelector: plain equality over Namespace labels
  std::optional<LabelSelector> node_selector;  // spec.nodeSelector (Berth's): who may hold its addresses
  bool is_default = false;                     // annotation eip.openelb.kubesphere.io/is-default-eip
  bool avoid_buggy_ips = false;                // annotation berth.io/avoid-buggy-ips: leave out IPv4 .0 and .255
  bool force_delete = false;                   // annotation berth.io/force-delete
  bool deleting = false;                       // metadata.deletionTimestamp is set
  bool has_finalizer = false;                  // ours: finalizer.ipam.kubesphere.io/v1alpha1
  std::string revision;                        // opaque, of the source
  // Bound to namespaces: serves no others (rule 3).
  bool namespace_bound() const { return !namespaces.empty() || (namespace_selector && !namespace_selector->empty()); }
  friend bool operator==(const Pool&, const Pool&) = default;
};

enum class TrafficPolicy : std::uint8_t { kCluster, kLocal };
enum class IpFamilyPolicy : std::uint8_t { kSingleStack, kPreferDualStack, kRequireDualStack };

struct ServicePort {
  std::string name;
  std::string protocol = "TCP";
  std::uint16_t port = 0;
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

// What Berth has recorded about a Service, durable in the source (Kubernetes: status.loadBalancer.ingress and the label
// and finalizer; files: the state file). The truth of an allocation (docs/architecture.md).
struct Allocation {
  IpAddr address;
  std::string pool;  // by whose range it was given; that pool may be gone (orphaned)
  Protocol protocol = Protocol::kLayer2;
  std::string interface;  // the pool's rule when it was given, so that an orphan can still be served
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

bool Holds(const std::vector<Allocation>& list, const IpAddr& address);

// Of a reason and its message; never 0, and good within one process only.
std::uint64_t Fingerprint(absl::string_view reason, absl::string_view message);

struct Service {
  ObjectId id;
  std::string revision;  // opaque, of the source; a write is conditional on it
  absl::Time created = absl::InfinitePast();
  bool deleting = false;                           // metadata.deletionTimestamp is set, or the manifest is gone
  bool load_balancer = false;                      // spec.type == LoadBalancer
  bool headless = false;                           // spec.clusterIP == None
  std::optional<std::string> load_balancer_class;  // spec.loadBalancerClass
  std::string load_balancer_ip;                    // spec.loadBalancerIP, as written
  Labels annotations;                              // only keys that Berth reads (kServiceAnnotations)
  std::vector<Family> ip_families;                 // spec.ipFamilies; empty counts as one IPv4
  IpFamilyPolicy ip_family_policy = IpFamilyPolicy::kSingleStack;
  std::vector<ServicePort> ports;
  TrafficPolicy traffic_policy = TrafficPolicy::kCluster;  // spec.externalTrafficPolicy
  Labels selector;                                         // spec.selector
  bool marked = false;                  // bears our finalizer or our pool label; where there are allocations: both
  std::vector<Allocation> allocations;  // recorded, in the order of ip_families
  // How it was ours when `allocations` were recorded: "annotation", "class:<loadBalancerClass>" or "unclassed"; empty
  // on records that do not tell. With it a changed flag is told from a changed Service (rule 1).
  std::string managed_by;
  bool foreign_ingress = false;  // status.loadBalancer.ingress has entries that we did not write
  // Fingerprint of the reason that is recorded for its having no address (condition berth.io/Assigned); 0: none is.
  std::uint64_t told = 0;
  // Whether the object has anything of ours.
  bool touched() const { return marked || told != 0 || !allocations.empty(); }
  friend bool operator==(const Service&, const Service&) = default;
};

struct Node {
  std::string name;
  Labels labels;
  bool ready = true;                 // condition Ready is True (absent counts as true)
  bool network_unavailable = false;  // condition NetworkUnavailable is True
  bool unschedulable = false;        // spec.unschedulable: cordoned
  bool explicit_object = false;      // a Node object exists; else it is known only by its agent (files source)
  friend bool operator==(const Node&, const Node&) = default;
};

struct Namespace {
  std::string name;
  Labels labels;
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

inline constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";  // of an EndpointSlice
struct Endpoint {
  std::string node;
  bool ready = true;    // conditions.ready: absent counts as true
  bool serving = true;  // conditions.serving: absent counts as `ready`
  bool terminating = false;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
struct EndpointSlice {
  ObjectId id;
  ObjectId service;  // by kServiceNameLabel
  Family family = Family::kIpv4;
  std::vector<Endpoint> endpoints;
  friend bool operator==(const EndpointSlice&, const EndpointSlice&) = default;
};

// Annotation and label keys (OpenELB's spelling, then ours).
inline constexpr char kOptInAnnotation[] = "lb.kubesphere.io/v1alpha1";
inline constexpr char kPoolAnnotation[] = "eip.openelb.kubesphere.io/v1alpha2";
inline constexpr char kAddressAnnotation[] = "eip.openelb.kubesphere.io/v1alpha1";
inline constexpr char kProtocolAnnotation[] = "protocol.openelb.kubesphere.io/v1alpha1";
inline constexpr char kDefaultPoolAnnotation[] = "eip.openelb.kubesphere.io/is-default-eip";
inline constexpr char kNodeProxyAnnotation[] = "node-proxy.openelb.kubesphere.io/type";
inline constexpr char kSharingKeyAnnotation[] = "berth.io/sharing-key";
inline constexpr char kAvoidBuggyAnnotation[] = "berth.io/avoid-buggy-ips";
inline constexpr char kForceDeleteAnnotation[] = "berth.io/force-delete";
inline constexpr char kExcludeNodeLabel[] = "node.kubernetes.io/exclude-from-external-load-balancers";
inline constexpr char kDefaultClass[] = "berth.io/lb";
// Whether an annotation of a Service is one that Berth reads; sources drop the others.
bool IsServiceAnnotation(absl::string_view key);

}  // namespace berth::model

#endif  // BERTH_CONTROLLER_MODEL_OBJECTS_H_
