// SPDX-License-Identifier: Apache-2.0
// controller/kube/source/cluster_store.h -- what the source keeps of the cluster's objects, and what of their changes
// is worth telling. No I/O.
//
//   store.PutService(object);              // as it comes, from lists, watches and answers to our own writes
//   model::ClusterDelta delta = store.TakeDelta(2000);
//
// Lean: a Service that is no LoadBalancer and bears nothing of ours is not kept; of the others what a patch must know.
// EndpointSlices are kept of Services with externalTrafficPolicy Local alone, since nobody else asks where endpoints
// are. A Service that begins to need them is held back until they have been fetched (TakeFetches, PutFetched), so that
// not knowing them never looks like there being none. Objects older than what is known are ignored: the answer to a
// write is often here before the watch tells of older changes. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_SOURCE_CLUSTER_STORE_H_
#define BERTH_CONTROLLER_KUBE_SOURCE_CLUSTER_STORE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller/kube/objects/pool_object.h"
#include "controller/kube/objects/service_object.h"
#include "controller/model/source.h"

namespace berth::kube {

class ClusterStore {
 public:
  // Objects as the API server sends them. One that cannot be read is a problem; what was last read of it stays. That it
  // is being deleted is told all the same: a Service then without its spec, an Eip of which nothing could be read ever
  // without addresses.
  void PutService(const nlohmann::json& object);
  void PutService(ServiceObject object);
  // From the answer to a write of ours: nothing when the Service has gone meanwhile, as the watch may tell first.
  void PutWritten(ServiceObject object);
  void DropService(const model::ObjectId& id);
  // What is to be known of it for its writes now: null when nothing is to be written, no version of it being readable.
  const PoolObject* PutPool(const nlohmann::json& object);
  void DropPool(const std::string& name);
  void PutNode(const nlohmann::json& object);
  void DropNode(const std::string& name);
  void PutNamespace(const nlohmann::json& object);
  void DropNamespace(const std::string& name);
  void PutSlice(const nlohmann::json& object);
  void DropSlice(const model::ObjectId& id);

  // Services whose EndpointSlices have to be listed; each is named once until PutFetched, and again if it needs them
  // anew.
  std::vector<model::ObjectId> TakeFetches();
  // What that list says, but of slices of which the watch has told since it was asked for: which of the two is newer is
  // not known, and what is gone would be there again.
  void PutFetched(const model::ObjectId& service, const nlohmann::json& list);
  // Whether Services are held back until their slices are known.
  bool fetching() const { return !fetches_.empty() || !fetching_.empty(); }
  // All Services have been listed, and the common list of slices begins: it tells of those Services, while one that
  // begins to need slices from now on may come when they have passed by, and gets a list of its own.
  void OnListed() { listed_ = true; }

  // What changed since, of at most so many Services: more are told by further calls.
  model::ClusterDelta TakeDelta(std::size_t max_services);
  bool dirty() const;
  const model::Problems& problems() const { return problems_; }

  bool HasNode(const std::string& name) const { return nodes_.count(name) != 0; }
  // Null when the Service is not known, or known at another revision.
  const ServiceRest* RestAt(const model::ObjectId& id, const std::string& revision) const;
  // Its ServiceRest::unannounced; "" when it is not known.
  std::string UnannouncedOf(const model::ObjectId& id) const;
  std::string UidOf(const model::ObjectId& service) const;  // likewise
  std::string UidOf(const model::EventRecord& event) const;

 private:
  struct Kept {
    std::string revision;
    ServiceRest rest;
    bool local = false;    // needs its EndpointSlices
    bool fetched = false;  // and has them
    std::optional<model::Service> to_tell;
  };

  void Problem(const std::string& key, const std::string& text, const std::string& pool = "");
  const PoolObject* KeepPool(PoolObject object);
  bool HasContent(const std::string& pool) const;  // some version of it could be read
  void Complete(Kept& kept) const;
  void Hear(const model::ObjectId& slice);
  void KeepSlice(const nlohmann::json& object);
  void ForgetSlice(const model::ObjectId& id);
  void ForgetSlicesOf(const model::ObjectId& service);

  std::map<model::ObjectId, Kept> services_;
  std::map<std::string, PoolObject> pools_;
  std::map<std::string, model::Node> nodes_;
  std::map<std::string, model::Namespace> namespaces_;
  std::map<model::ObjectId, model::EndpointSlice> slices_;
  std::map<model::ObjectId, std::set<model::ObjectId>> slices_of_;  // by Service

  std::set<model::ObjectId> changed_services_, gone_services_, changed_slices_;
  std::set<std::string> changed_pools_, changed_nodes_, changed_namespaces_;
  std::set<model::ObjectId> told_slices_;
  std::set<std::string> told_pools_, told_nodes_, told_namespaces_;
  std::set<model::ObjectId> fetches_;
  struct Fetch {
    std::uint64_t since;  // as of slice_news_ when it was asked for
    bool again = false;   // asked for once more since: the Service is another one, or was not Local in between
  };
  std::map<model::ObjectId, Fetch> fetching_;  // under way
  std::uint64_t slice_news_ = 0;
  std::map<model::ObjectId, std::uint64_t> told_of_;  // by the watch, while a list is under way; when
  std::map<std::string, std::pair<std::string, std::string>> problem_of_;  // by object: its text, its Eip or ""
  model::Problems problems_;
  bool listed_ = false;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_SOURCE_CLUSTER_STORE_H_
