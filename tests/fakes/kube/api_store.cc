// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/kube/api_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxHistory = 100'000;

std::string Text(const json& object, const char* key) {
  const json& meta = object.at("metadata");
  const auto found = meta.find(key);
  return found != meta.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::set<std::string> Finalizers(const json& object) {
  std::set<std::string> names;
  const json& meta = object.at("metadata");
  if (const auto found = meta.find("finalizers"); found != meta.end() && found->is_array()) {
    for (const json& name : *found) names.insert(name.get<std::string>());
  }
  return names;
}

void Carry(const json& from, json& to, const char* key) {
  if (from.contains(key)) {
    to[key] = from[key];
  } else {
    to.erase(key);
  }
}

// What the server fills in, as far as anybody here looks at it.
void SetDefaults(const ResourceType& type, json& object) {
  json& meta = object["metadata"];
  for (const char* key : {"finalizers", "labels", "annotations", "ownerReferences"}) {
    if (meta.contains(key) && (meta[key].is_null() || meta[key].empty())) meta.erase(key);
  }
  if (type.name != "services") return;
  if (!object["status"].contains("loadBalancer")) object["status"]["loadBalancer"] = json::object();
  json& spec = object["spec"];
  if (!spec.contains("type")) spec["type"] = "ClusterIP";
  if (!spec.contains("sessionAffinity")) spec["sessionAffinity"] = "None";
  if (spec["type"] == "LoadBalancer") {
    if (!spec.contains("externalTrafficPolicy")) spec["externalTrafficPolicy"] = "Cluster";
    if (!spec.contains("allocateLoadBalancerNodePorts")) spec["allocateLoadBalancerNodePorts"] = true;
  }
  if (!spec.contains("ports")) return;
  for (json& port : spec["ports"]) {
    if (!port.contains("protocol")) port["protocol"] = "TCP";
    if (!port.contains("targetPort") && port.contains("port")) port["targetPort"] = port["port"];
  }
}

std::vector<ResourceType> FirstTypes() {
  const auto core = [](const char* name, const char* kind, bool namespaced, bool status) {
    return ResourceType{"", "v1", name, kind, namespaced, status, false};
  };
  const auto custom = [](const char* version, const char* name, const char* kind) {
    return ResourceType{"network.kubesphere.io", version, name, kind, false, true, true};
  };
  const auto hook = [](const char* name, const char* kind) {
    return ResourceType{"admissionregistration.k8s.io", "v1", name, kind, false, false, false};
  };
  return {core("services", "Service", true, true),
          core("nodes", "Node", false, true),
          core("namespaces", "Namespace", false, true),
          core("events", "Event", true, false),
          core("secrets", "Secret", true, false),
          core("configmaps", "ConfigMap", true, false),
          {"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true, false, false},
          {"coordination.k8s.io", "v1", "leases", "Lease", true, false, false},
          {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false, true, false},
          hook("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
          hook("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
          custom("v1alpha2", "eips", "Eip"),
          custom("v1alpha2", "bgpconfs", "BgpConf"),
          custom("v1alpha2", "bgppeers", "BgpPeer")};
}

Reply Conflict(const ResourceType& type, const std::string& name, const std::string& why) {
  return Failure(409, "Conflict",
                 absl::StrCat("Operation cannot be fulfilled on ", type.QualifiedName(), " \"", name, "\": ", why));
}

Reply Invalid(const ResourceType& type, const std::string& name, const std::string& why) {
  return Failure(422, "Invalid", absl::StrCat(type.kind, " \"", name, "\" is invalid: ", why));
}

constexpr char kModified[] =
    "the object has been modified; please apply your changes to the latest version and try again";

}  // namespace

std::string ResourceType::QualifiedName() const { return group.empty() ? name : absl::StrCat(name, ".", group); }
std::string ResourceType::ApiVersion() const { return group.empty() ? version : absl::StrCat(group, "/", version); }

Reply Failure(int code, const std::string& reason, const std::string& message) {
  return {code,
          {{"kind", "Status"},
           {"apiVersion", "v1"},
           {"metadata", json::object()},
           {"status", "Failure"},
           {"message", message},
           {"reason", reason},
           {"code", code}}};
}

ApiStore::ApiStore(std::function<absl::Time()> wall_now) : wall_now_(std::move(wall_now)) {
  for (ResourceType& type : FirstTypes()) AddType(std::move(type));
  for (const char* name : {"default", "kube-system"}) Create("namespaces", "", {{"metadata", {{"name", name}}}});
}

void ApiStore::AddType(ResourceType type) {
  leaving_types_.erase(type.name);
  std::string name = type.name;
  types_[std::move(name)] = std::move(type);
}

void ApiStore::RemoveType(const std::string& name) {
  leaving_types_.insert(name);
  std::vector<StoreKey> keys;
  for (const auto& [key, object] : objects_[name]) keys.push_back(key);
  for (const StoreKey& key : keys) Delete(name, key);
  FinishType(name);
}

const ResourceType* ApiStore::FindType(const std::string& name) const {
  const auto found = types_.find(name);
  return found == types_.end() ? nullptr : &found->second;
}

ObjectPtr ApiStore::Find(const std::string& resource, const StoreKey& key) const {
  const auto objects = objects_.find(resource);
  if (objects == objects_.end()) return nullptr;
  const auto found = objects->second.find(key);
  return found == objects->second.end() ? nullptr : found->second;
}

Reply ApiStore::NotFound(const std::string& resource, const std::string& name) const {
  const ResourceType* type = FindType(resource);
  if (type == nullptr) return Failure(404, "NotFound", "the server could not find the requested resource");
  return Failure(404, "NotFound", absl::StrCat(type->QualifiedName(), " \"", name, "\" not found"));
}

Reply ApiStore::Get(const std::string& resource, const StoreKey& key) const {
  const ObjectPtr found = Find(resource, key);
  return found == nullptr ? NotFound(resource, key.name) : Reply{200, *found};
}

std::vector<ObjectPtr> ApiStore::List(const std::string& resource, const std::string& ns) const {
  std::vector<ObjectPtr> all;
  if (const auto objects = objects_.find(resource); objects != objects_.end()) {
    for (const auto& [key, object] : objects->second) {
      if (ns.empty() || key.ns == ns) all.push_back(object);
    }
  }
  return all;
}

Reply ApiStore::Create(const std::string& resource, const std::string& ns, json object) {
  const ResourceType* type = FindType(resource);
  if (type == nullptr) return NotFound(resource, "");
  if (leaving_types_.contains(resource)) {
    return Failure(405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating");
  }
  if (!object.is_object() || !object.contains("metadata")) return Failure(400, "BadRequest", "no object");
  json& meta = object["metadata"];
  std::string name = Text(object, "name");
  if (name.empty() && meta.contains("generateName")) {
    name = absl::StrFormat("%s%05x", Text(object, "generateName"), last_uid_ + 1);
  }
  if (name.empty()) return Invalid(*type, "", "metadata.name: Required value: name or generateName is required");
  if (type->namespaced) {
    const ObjectPtr space = Find("namespaces", {"", ns});
    if (space == nullptr) return NotFound("namespaces", ns);
    if (!Text(*space, "deletionTimestamp").empty()) {
      return Failure(403, "Forbidden",
                     absl::StrCat(type->QualifiedName(), " \"", name,
                                  "\" is forbidden: unable to create new content in namespace ", ns,
                                  " because it is being terminated"));
    }
  }
  const StoreKey key{type->namespaced ? ns : "", name};
  if (Find(resource, key) != nullptr) {
    return Failure(409, "AlreadyExists", absl::StrCat(type->QualifiedName(), " \"", name, "\" already exists"));
  }
  object["apiVersion"] = type->ApiVersion();
  object["kind"] = type->kind;
  for (const char* theirs : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"}) meta.erase(theirs);
  meta["name"] = name;
  if (type->namespaced) meta["namespace"] = ns;
  meta["uid"] = absl::StrFormat("00000000-0000-4000-8000-%012x", ++last_uid_);
  meta["creationTimestamp"] = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", wall_now_(), absl::UTCTimeZone());
  if (type->custom) meta["generation"] = 1;
  if (type->status && resource != "nodes") object.erase("status");  // a kubelet brings its own
  if (resource == "namespaces") object["status"]["phase"] = "Active";
  SetDefaults(*type, object);
  return {201, *Commit(*type, key, "ADDED", nullptr, std::move(object))};
}

Reply ApiStore::Update(const std::string& resource, const StoreKey& key, json object, bool status) {
  const ResourceType* type = FindType(resource);
  const ObjectPtr before = Find(resource, key);
  if (type == nullptr || before == nullptr) return NotFound(resource, key.name);
  if (!object.is_object() || !object.contains("metadata")) return Failure(400, "BadRequest", "no object");
  const std::string uid = Text(object, "uid");
  if (!uid.empty() && uid != Text(*before, "uid")) {
    return Conflict(*type, key.name,
                    absl::StrCat("Precondition failed: UID in precondition: ", uid,
                                 ", UID in object meta: ", Text(*before, "uid")));
  }
  const bool unconditional = !type->custom && resource != "leases";
  if (Text(object, "resourceVersion").empty() && !unconditional) {
    return Invalid(*type, key.name, "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update");
  }
  return Write(*type, key, before, std::move(object), status);
}

Reply ApiStore::Patch(const std::string& resource, const StoreKey& key, const json& merge_patch, bool status,
                      bool dry_run) {
  const ResourceType* type = FindType(resource);
  const ObjectPtr before = Find(resource, key);
  if (type == nullptr || before == nullptr) return NotFound(resource, key.name);
  json next = *before;
  next.merge_patch(merge_patch);
  if (!next.is_object() || !next.contains("metadata")) return Failure(400, "BadRequest", "no object");
  if (Text(next, "uid") != Text(*before, "uid")) {
    return Invalid(*type, key.name,
                   absl::StrCat("metadata.uid: Invalid value: \"", Text(next, "uid"), "\": field is immutable"));
  }
  return Write(*type, key, before, std::move(next), status, dry_run);
}

Reply ApiStore::Write(const ResourceType& type, const StoreKey& key, const ObjectPtr& before, json next, bool status,
                      bool dry_run) {
  const std::string version = Text(next, "resourceVersion");
  if (!version.empty() && version != Text(*before, "resourceVersion")) return Conflict(type, key.name, kModified);
  if (Text(next, "name") != key.name) return Failure(400, "BadRequest", "the name of the object does not match");
  if (status) {
    json whole = *before;
    Carry(next, whole, "status");
    if (!type.custom) whole["metadata"] = next["metadata"];
    next = std::move(whole);
  } else if (type.status) {
    Carry(*before, next, "status");
  }
  for (const char* ours : {"namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
                           "generation", "resourceVersion"}) {
    Carry((*before)["metadata"], next["metadata"], ours);
  }
  next["apiVersion"] = (*before)["apiVersion"];
  next["kind"] = (*before)["kind"];
  SetDefaults(type, next);
  const std::set<std::string> had = Finalizers(*before), has = Finalizers(next);
  const bool leaving = !Text(*before, "deletionTimestamp").empty();
  if (leaving && !std::includes(had.begin(), had.end(), has.begin(), has.end())) {
    return Invalid(type, key.name,
                   "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted");
  }
  if (next == *before || dry_run) return {200, next};
  if (type.custom) {
    json old_content = *before, new_content = next;
    for (json* content : {&old_content, &new_content}) {
      content->erase("metadata");
      content->erase("status");
    }
    if (old_content != new_content) {
      next["metadata"]["generation"] = (*before)["metadata"].value("generation", 0) + 1;
    }
  }
  if (leaving && has.empty()) return {200, *Commit(type, key, "DELETED", before, std::move(next))};
  return {200, *Commit(type, key, "MODIFIED", before, std::move(next))};
}

Reply ApiStore::Delete(const std::string& resource, const StoreKey& key, const json& options) {
  const ResourceType* type = FindType(resource);
  const ObjectPtr before = Find(resource, key);
  if (type == nullptr || before == nullptr) return NotFound(resource, key.name);
  if (options.is_object() && options.contains("preconditions")) {
    const json& asked = options["preconditions"];
    for (const char* field : {"uid", "resourceVersion"}) {
      if (asked.contains(field) && asked[field] != Text(*before, field)) {
        return Conflict(*type, key.name, absl::StrCat("Precondition failed: ", field, " is another"));
      }
    }
  }
  const bool space = resource == "namespaces";
  if (space || !Finalizers(*before).empty()) {
    if (!Text(*before, "deletionTimestamp").empty()) return {200, *before};
    json next = *before;
    next["metadata"]["deletionTimestamp"] = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", wall_now_(), absl::UTCTimeZone());
    next["metadata"]["deletionGracePeriodSeconds"] = 0;
    if (type->custom) next["metadata"]["generation"] = (*before)["metadata"].value("generation", 0) + 1;
    if (space) next["status"]["phase"] = "Terminating";
    Reply reply{200, *Commit(*type, key, "MODIFIED", before, std::move(next))};
    if (space) FinishNamespace(key.name);
    return reply;
  }
  Commit(*type, key, "DELETED", before, *before);
  return {200,
          {{"kind", "Status"},
           {"apiVersion", "v1"},
           {"metadata", json::object()},
           {"status", "Success"},
           {"details", {{"name", key.name}, {"kind", resource}, {"uid", Text(*before, "uid")}}}}};
}

ObjectPtr ApiStore::Commit(const ResourceType& type, const StoreKey& key, const char* event, ObjectPtr before,
                           json object) {
  object["metadata"]["resourceVersion"] = absl::StrCat(++revision_);
  auto after = std::make_shared<const json>(std::move(object));
  const bool deleted = event[0] == 'D';
  if (deleted) {
    objects_[type.name].erase(key);
  } else {
    objects_[type.name][key] = after;
  }
  const std::string resource = type.name;  // `type` may go with its last object
  history_.push_back({revision_, event, resource, key, after, std::move(before)});
  if (history_.size() > kMaxHistory) {
    compacted_ = history_.front().revision;
    history_.pop_front();
  }
  if (on_event) on_event(Event(history_.back()));
  if (deleted) {
    if (!key.ns.empty()) FinishNamespace(key.ns);
    FinishType(resource);
  }
  return after;
}

// As the namespace controller does.
void ApiStore::FinishNamespace(const std::string& ns) {
  const ObjectPtr space = Find("namespaces", {"", ns});
  if (space == nullptr || Text(*space, "deletionTimestamp").empty()) return;
  bool empty = true;
  std::vector<std::pair<std::string, StoreKey>> inside;
  for (const auto& [resource, objects] : objects_) {
    for (const auto& [key, object] : objects) {
      if (key.ns != ns) continue;
      empty = false;
      if (Text(*object, "deletionTimestamp").empty()) inside.emplace_back(resource, key);
    }
  }
  for (const auto& [resource, key] : inside) Delete(resource, key);
  if (empty && Finalizers(*space).empty() && Find("namespaces", {"", ns}) == space) {
    Commit(*FindType("namespaces"), {"", ns}, "DELETED", space, *space);
  }
}

void ApiStore::FinishType(const std::string& name) {
  if (!leaving_types_.contains(name) || !objects_[name].empty()) return;
  leaving_types_.erase(name);
  types_.erase(name);
  if (on_type_gone) on_type_gone(name);
}

ObjectPtr ApiStore::Put(json object) {
  const ResourceType* type = nullptr;
  for (const auto& [name, candidate] : types_) {
    if (object.value("kind", "") == candidate.kind) type = &candidate;
  }
  if (type == nullptr) return nullptr;
  const std::string ns = type->namespaced ? object["metadata"].value("namespace", "default") : std::string();
  const StoreKey key{ns, Text(object, "name")};
  if (!ns.empty() && Find("namespaces", {"", ns}) == nullptr) {
    Create("namespaces", "", {{"metadata", {{"name", ns}}}});
  }
  object["metadata"].erase("resourceVersion");
  if (Find(type->name, key) == nullptr) {
    Create(type->name, ns, object);
  } else {
    object["metadata"]["resourceVersion"] = Text(*Find(type->name, key), "resourceVersion");
    Update(type->name, key, object);
  }
  const ObjectPtr made = Find(type->name, key);
  if (made == nullptr || !type->status || !object.contains("status")) return made;
  json with_status = *made;
  with_status["status"] = object["status"];
  Update(type->name, key, std::move(with_status), /*status=*/true);
  return Find(type->name, key);
}

void ApiStore::Compact() {
  compacted_ = revision_;
  history_.clear();
}

}  // namespace berth::kube
