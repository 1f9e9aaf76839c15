// SPDX-License-Identifier: Apache-2.0
// tests/fakes/kube/api_store.h -- the objects of an API server and what may be done to them: etcd and the registry of
// one server, in memory.
//
//   ApiStore store([&] { return loop.WallNow(); });
//   store.Put(R"({"apiVersion":"v1","kind":"Service","metadata":{"namespace":"shop","name":"web"},...})"_json);
//   store.Patch("services", {"shop", "web"}, patch, /*status=*/true).code == 200
//
// As the real one: one revision for all; uid, creationTimestamp, generation (of custom resources) and resourceVersion
// are the server's; a stale resourceVersion is a conflict; a write that changes nothing is none; the status is written
// through its subresource only, and that writes metadata too for built-in kinds and not for custom ones; with
// finalizers a deletion waits for the last one to go; a Namespace goes once it is empty. No schemas, no quotas, no
// users.
#ifndef BERTH_TESTS_FAKES_KUBE_API_STORE_H_
#define BERTH_TESTS_FAKES_KUBE_API_STORE_H_

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace berth::kube {

struct ResourceType {
  std::string group, version;
  std::string name;  // "services": unique here, whatever the group
  std::string kind;
  bool namespaced = true;
  bool status = false;  // has the subresource
  bool custom = false;  // by a CustomResourceDefinition

  // "services", "eips.network.kubesphere.io"
  std::string QualifiedName() const;
  std::string ApiVersion() const;
};

struct StoreKey {
  std::string ns, name;  // `ns` is empty for kinds without a namespace
  friend auto operator<=>(const StoreKey&, const StoreKey&) = default;
};

// What a server answers: the object, or a Status.
struct Reply {
  int code = 200;
  nlohmann::json body;
  bool ok() const { return code < 300; }
};
Reply Failure(int code, const std::string& reason, const std::string& message);

using ObjectPtr = std::shared_ptr<const nlohmann::json>;

class ApiStore {
 public:
  // Knows from the start: services, nodes, namespaces, events, secrets, configmaps, endpointslices, leases, eips,
  // bgpconfs, bgppeers, validatingwebhookconfigurations, mutatingwebhookconfigurations, customresourcedefinitions; and
  // the Namespaces default and kube-system.
  explicit ApiStore(std::function<absl::Time()> wall_now);

  void AddType(ResourceType type);
  // As deleting its CustomResourceDefinition: its objects are deleted, and the type goes once the last one has gone.
  void RemoveType(const std::string& name);
  const ResourceType* FindType(const std::string& name) const;  // null: no such resource

  Reply Get(const std::string& resource, const StoreKey& key) const;
  // All of a resource, or of one namespace of it, in the order of their keys.
  std::vector<ObjectPtr> List(const std::string& resource, const std::string& ns = "") const;
  Reply Create(const std::string& resource, const std::string& ns, nlohmann::json object);
  Reply Update(const std::string& resource, const StoreKey& key, nlohmann::json object, bool status = false);
  // `dry_run`: the answer as if it were done.
  Reply Patch(const std::string& resource, const StoreKey& key, const nlohmann::json& merge_patch, bool status = false,
              bool dry_run = false);
  // `options`: a DeleteOptions, of which the preconditions count.
  Reply Delete(const std::string& resource, const StoreKey& key, const nlohmann::json& options = {});

  // For tests: makes `object` be there as it is, status and all, with the Namespace it needs; its kind says the
  // resource. Null when there is no such kind.
  ObjectPtr Put(nlohmann::json object);
  ObjectPtr Find(const std::string& resource, const StoreKey& key) const;  // null when absent

  struct Event {
    std::uint64_t revision = 0;
    const char* type = "";  // "ADDED", "MODIFIED", "DELETED"
    std::string resource;
    StoreKey key;
    ObjectPtr object, before;
  };
  std::uint64_t revision() const { return revision_; }
  const std::deque<Event>& history() const { return history_; }
  // Events up to and with this revision are forgotten.
  std::uint64_t compacted() const { return compacted_; }
  void Compact();

  std::function<void(const Event&)> on_event;            // right after each
  std::function<void(const std::string&)> on_type_gone;  // see RemoveType

 private:
  using Objects = std::map<StoreKey, ObjectPtr>;
  Reply Write(const ResourceType& type, const StoreKey& key, const ObjectPtr& before, nlohmann::json next, bool status,
              bool dry_run = false);
  ObjectPtr Commit(const ResourceType& type, const StoreKey& key, const char* event, ObjectPtr before,
                   nlohmann::json object);
  void FinishNamespace(const std::string& ns);
  void FinishType(const std::string& name);
  Reply NotFound(const std::string& resource, const std::string& name) const;

  const std::function<absl::Time()> wall_now_;
  std::map<std::string, ResourceType> types_;
  std::set<std::string> leaving_types_;
  std::map<std::string, Objects> objects_;  // by resource
  std::uint64_t revision_ = 1;
  std::uint64_t compacted_ = 0;
  std::uint64_t last_uid_ = 0;
  std::deque<Event> history_;
};

}  // namespace berth::kube

#endif  // BERTH_TESTS_FAKES_KUBE_API_STORE_H_
