// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/service_object.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "common/sync/wire.h"
#include "controller/files/manifest/decode.h"
#include "controller/kube/objects/finalizers.h"
#include "controller/kube/objects/json_value.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxLabelValue = 63;

// The record of an allocation, by address text. Whatever is wrong in it counts as absent: the ingress is the truth.
struct Record {
  std::string managed_by;
  std::map<std::string, model::Allocation> allocations;
};

Record ReadRecord(const std::string& text) {
  Record record;
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  record.managed_by = StringAt(root, "managedBy");
  for (const json& each : ListAt(root, "addresses")) {
    model::Allocation a;
    const absl::StatusOr<IpAddr> address = IpAddr::Parse(StringAt(each, "address"));
    const std::optional<model::Protocol> protocol = model::ParseProtocol(StringAt(each, "protocol"));
    if (!address.ok() || !protocol) continue;
    a.address = *address;
    a.protocol = *protocol;
    a.pool = StringAt(each, "eip");
    a.interface = StringAt(each, "interface");
    record.allocations.emplace(address->ToString(), std::move(a));
  }
  return record;
}

std::string WriteRecord(const model::ServiceWrite& write) {
  json addresses = json::array();
  for (const model::Allocation& a : write.allocations) {
    json each = {
        {"address", a.address.ToString()}, {"eip", a.pool}, {"protocol", std::string(model::ProtocolName(a.protocol))}};
    if (!a.interface.empty()) each["interface"] = a.interface;
    addresses.push_back(std::move(each));
  }
  return json{{"addresses", std::move(addresses)}, {"managedBy", write.managed_by}}.dump();
}

void ReadIngress(const json& object, const Record& record, const std::string& label, ServiceObject& out) {
  json foreign = json::array();
  for (const json& entry : ListAt(MapAt(MapAt(object, "status"), "loadBalancer"), "ingress")) {
    const absl::StatusOr<IpAddr> address = IpAddr::Parse(StringAt(entry, "ip"));
    if (!address.ok() || model::Holds(out.service.allocations, *address)) {
      foreign.push_back(entry);
      continue;
    }
    const auto recorded = record.allocations.find(address->ToString());
    if (recorded != record.allocations.end()) {
      out.service.allocations.push_back(recorded->second);
    } else if (out.service.marked) {
      model::Allocation legacy;
      legacy.address = *address;
      legacy.pool = label;
      out.rest.unrecorded = true;
      out.service.allocations.push_back(std::move(legacy));
    } else {
      foreign.push_back(entry);
    }
  }
  out.service.foreign_ingress = !foreign.empty();
  if (!foreign.empty()) out.rest.foreign_ingress = foreign.dump();
}

void ReadConditions(const json& object, ServiceObject& out) {
  json others = json::array();
  for (const json& condition : ListAt(MapAt(object, "status"), "conditions")) {
    if (StringAt(condition, "type") != kAssignedCondition) {
      others.push_back(condition);
      if (StringAt(condition, "type") != kAnnouncedCondition) continue;
      out.service.marked = true;
      if (StringAt(condition, "status") == "False") {
        const std::string message = StringAt(condition, "message");
        out.rest.unannounced = message.empty() ? std::string(1, '?') : message;  // never empty when it is ours
      }
      continue;
    }
    out.rest.has_condition = true;
    out.rest.assigned = StringAt(condition, "status") == "True";
    out.rest.since = StringAt(condition, "lastTransitionTime");
    if (!out.rest.assigned) {
      out.service.told = model::Fingerprint(StringAt(condition, "reason"), StringAt(condition, "message"));
    }
  }
  if (!others.empty()) out.rest.other_conditions = others.dump();
}

json Parsed(const std::string& list) { return list.empty() ? json::array() : json::parse(list, nullptr, false); }

json NullIfEmpty(json list) { return list.empty() ? json(nullptr) : std::move(list); }

// A Service that has no address of ours is not ours to speak of.
json WithoutAnnounced(json conditions) {
  conditions.erase(std::remove_if(conditions.begin(), conditions.end(),
                                  [](const json& c) { return StringAt(c, "type") == kAnnouncedCondition; }),
                   conditions.end());
  return conditions;
}

// A reason must be a word of at most 1024 bytes and a message one of 32768 (Kubernetes' Condition).
json Condition(const model::ServiceWrite& write, const ServiceRest& rest, bool assigned, absl::Time now) {
  const bool same = rest.has_condition && rest.assigned == assigned && !rest.since.empty();
  std::string message = write.condition_message;
  if (assigned && message.empty()) {
    message = absl::StrJoin(write.allocations, ", ", [](std::string* out, const model::Allocation& a) {
      absl::StrAppend(out, a.address.ToString(), " of Eip ", a.pool);
    });
  }
  return {{"type", kAssignedCondition},
          {"status", assigned ? "True" : "False"},
          {"reason", !write.condition_reason.empty() ? write.condition_reason
                     : assigned                      ? "Assigned"
                                                     : "Pending"},
          {"message", message.substr(0, 32768)},
          {"lastTransitionTime", same ? rest.since : Rfc3339(now)}};
}

void ReadMetadata(const json& object, ServiceObject& out) {
  const json& metadata = MapAt(object, "metadata");
  model::Service& service = out.service;
  service.revision = StringAt(metadata, "resourceVersion");
  service.deleting = !StringAt(metadata, "deletionTimestamp").empty();
  out.rest.uid = StringAt(metadata, "uid");
  Finalizers finalizers = FinalizersOf(object, kLbFinalizer);
  service.marked = finalizers.ours;
  out.rest.other_finalizers = std::move(finalizers.others);
  const std::string label = StringAt(MapAt(metadata, "labels"), model::kPoolAnnotation);
  Record record;
  if (const std::string text = StringAt(MapAt(metadata, "annotations"), kAllocationsAnnotation); !text.empty()) {
    record = ReadRecord(text);
    service.marked = true;
  }
  service.marked = service.marked || !label.empty();
  ReadIngress(object, record, label, out);
  ReadConditions(object, out);
  service.marked = service.marked || out.rest.has_condition;
  if (!service.allocations.empty()) {
    service.managed_by = record.managed_by;
    // One that holds addresses shall have both.
    service.marked = !label.empty() && finalizers.ours;
  }
}

}  // namespace

absl::StatusOr<ServiceObject> ReadService(const json& object) {
  ServiceObject out;
  const model::ObjectId id = IdOf(object);
  ASSIGN_OR_RETURN(const files::Documents document, ToDocument(object));
  files::FieldReader read("", absl::StrCat("Service ", Quote(id.ToString())));
  out.service = files::DecodeService(read, files::Field(document.roots[0]), id);
  if (!read.ok()) return absl::InvalidArgumentError(read.problems().front());
  ReadMetadata(object, out);
  return out;
}

ServiceObject ReadServiceMetadata(const json& object) {
  ServiceObject out;
  out.service.id = IdOf(object);
  ReadMetadata(object, out);
  return out;
}

absl::StatusOr<ServiceObject> OrItsEnd(absl::StatusOr<ServiceObject> read, const json& object) {
  if (read.ok()) return read;
  ServiceObject end = ReadServiceMetadata(object);
  if (!end.service.deleting) return read;
  return end;
}

std::string ServicePatch(const model::ServiceWrite& write, const ServiceRest& rest, absl::Time now) {
  const bool keep = !write.allocations.empty() || write.hold;
  json finalizers = rest.other_finalizers;
  if (keep) finalizers.push_back(kLbFinalizer);

  json ingress = json::array();
  for (const model::Allocation& a : write.allocations) ingress.push_back({{"ip", a.address.ToString()}});
  // What somebody else put there is theirs again once we let go, and gives way while we serve.
  if (write.allocations.empty()) ingress = Parsed(rest.foreign_ingress);

  json conditions = Parsed(rest.other_conditions);
  if (write.allocations.empty()) conditions = WithoutAnnounced(std::move(conditions));
  if (!write.allocations.empty() || !write.condition_reason.empty()) {
    conditions.push_back(Condition(write, rest, write.condition_reason.empty() && !write.allocations.empty(), now));
  }
  const bool record = !write.allocations.empty();
  const json patch = {
      {"metadata",
       {{"resourceVersion", write.revision},
        {"finalizers", NullIfEmpty(std::move(finalizers))},
        {"labels", {{model::kPoolAnnotation, record ? json(PoolLabel(write.allocations[0].pool)) : json(nullptr)}}},
        {"annotations", {{kAllocationsAnnotation, record ? json(WriteRecord(write)) : json(nullptr)}}}}},
      {"status",
       {{"loadBalancer", {{"ingress", NullIfEmpty(std::move(ingress))}}},
        {"conditions", NullIfEmpty(std::move(conditions))}}}};
  return patch.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string AnnouncedMessage(const std::string& why) { return sync::WireMessage(why); }

std::string AnnouncedPatch(const std::string& uid, const std::string& message, bool was_announced, absl::Time now) {
  const bool announced = message.empty();
  json condition = {{"type", kAnnouncedCondition},
                    {"status", announced ? "True" : "False"},
                    {"reason", announced ? "Announced" : "NotAnnounced"},
                    {"message", announced ? "every address is announced" : message}};
  if (announced || was_announced) condition["lastTransitionTime"] = Rfc3339(now);
  const json patch = {{"metadata", {{"uid", uid}}}, {"status", {{"conditions", json::array({std::move(condition)})}}}};
  return patch.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string ForgetPatch(const ServiceObject& object, bool keep_ingress) {
  model::ServiceWrite write;
  write.id = object.service.id;
  write.revision = object.service.revision;
  json patch = json::parse(ServicePatch(write, object.rest, absl::UnixEpoch()));
  if (keep_ingress) patch["status"].erase("loadBalancer");
  return patch.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string PoolLabel(const std::string& pool) {
  if (pool.size() <= kMaxLabelValue) return pool;
  return absl::StrCat(pool.substr(0, kMaxLabelValue - 18), "-x",
                      absl::StrFormat("%016x", XXH3_64bits(pool.data(), pool.size())));
}

}  // namespace berth::kube
