// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/pool_object.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/files/manifest/decode.h"
#include "controller/kube/objects/finalizers.h"
#include "controller/kube/objects/json_value.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

// status.used of OpenELB: "ns/name", several of them joined by ";".
json UsedMap(const model::PoolStatus& status) {
  json used = json::object();
  for (const model::PoolStatus::Used& each : status.used_list) {
    used[each.address.ToString()] = absl::StrJoin(
        each.services, ";", [](std::string* out, const model::ObjectId& id) { absl::StrAppend(out, id.ToString()); });
  }
  return used;
}

json Condition(const char* type, bool is, const std::string& reason, const std::string& message, const json& before,
               absl::Time now) {
  const char* status = is ? "True" : "False";
  std::string since = Rfc3339(now);
  for (const json& old : ListAt(before, "conditions")) {
    const std::string then = StringAt(old, "lastTransitionTime");
    if (StringAt(old, "type") == type && StringAt(old, "status") == status && !then.empty()) since = then;
  }
  return {{"type", type}, {"status", status}, {"reason", reason}, {"message", message}, {"lastTransitionTime", since}};
}

// Since when: as recorded, where the same one answered for it already.
json ConflictedList(const model::PoolStatus& status, const json& before, absl::Time now) {
  json list = json::array();
  for (const model::PoolStatus::Conflicted& conflicted : status.conflicted) {
    json entry = {{"address", conflicted.address}};
    if (!conflicted.mac.empty()) entry["mac"] = conflicted.mac;
    std::string since;
    for (const json& old : ListAt(before, "conflicted")) {
      if (StringAt(old, "address") == conflicted.address && StringAt(old, "mac") == conflicted.mac) {
        since = StringAt(old, "since");
      }
    }
    entry["since"] = since.empty() ? Rfc3339(now) : since;
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

absl::StatusOr<PoolObject> ReadPool(const json& object) {
  const std::string name = IdOf(object).name;
  ASSIGN_OR_RETURN(const files::Documents document, ToDocument(object));
  files::FieldReader read("", absl::StrCat("Eip ", Quote(name)));
  model::Pool content = files::DecodePool(read, files::Field(document.roots[0]), name, /*v1alpha1=*/false);
  if (!read.ok()) return absl::InvalidArgumentError(read.problems().front());
  return ReadPoolMetadata(object, std::move(content));
}

PoolObject ReadPoolMetadata(const json& object, model::Pool content) {
  PoolObject out;
  out.pool = std::move(content);
  const json& metadata = MapAt(object, "metadata");
  out.pool.revision = StringAt(metadata, "resourceVersion");
  out.pool.deleting = !StringAt(metadata, "deletionTimestamp").empty();
  out.pool.force_delete = StringAt(MapAt(metadata, "annotations"), model::kForceDeleteAnnotation) == "true";
  out.uid = StringAt(metadata, "uid");
  Finalizers finalizers = FinalizersOf(object, kPoolFinalizer);
  out.pool.has_finalizer = finalizers.ours;
  out.other_finalizers = std::move(finalizers.others);
  if (const json& status = MapAt(object, "status"); !status.empty()) out.status = status.dump();
  return out;
}

json PoolStatusJson(const model::PoolStatus& status, const json& before, absl::Time now) {
  const bool full = !status.total.is_zero() && status.used == status.total;
  const std::int64_t usage = status.used.SaturatedInt64();
  json out = {{"firstIP", status.first_ip},
              {"lastIP", status.last_ip},
              {"poolSize", status.total.SaturatedInt64()},
              {"usage", usage},
              {"occupied", full},
              {"ready", status.ready},
              {"v4", status.first_ip.find(':') == std::string::npos}};
  if (!status.used_list.empty()) out["used"] = UsedMap(status);
  if (usage > static_cast<std::int64_t>(status.used_list.size())) out["usedTruncated"] = true;
  if (!status.excluded.empty()) out["excluded"] = status.excluded;
  if (!status.conflicted.empty()) out["conflicted"] = ConflictedList(status, before, now);
  if (!status.message.empty()) out["message"] = status.message;
  const std::string conflicts =
      absl::StrCat("somebody else on the LAN answers for ",
                   absl::StrJoin(status.conflicted, ", ", [](std::string* text, const auto& c) {
                     absl::StrAppend(text, c.address, c.mac.empty() ? "" : absl::StrCat(" (", c.mac, ")"));
                   }));
  out["conditions"] = {
      Condition("Ready", status.ready, status.ready ? "AgentReady" : "NotServed",
                status.ready ? "an agent can serve its addresses" : status.message, before, now),
      Condition("Conflicted", !status.conflicted.empty(), status.conflicted.empty() ? "NoConflict" : "AddressConflict",
                status.conflicted.empty() ? "" : conflicts, before, now),
      Condition("Exhausted", full, full ? "NoFreeAddress" : "FreeAddresses", "", before, now)};
  if (!status.deletion.empty()) {
    out["conditions"].push_back(Condition("Deleting", true, "InUse", status.deletion, before, now));
  }
  return out;
}

json MergeDiff(const json& from, const json& to) {
  json patch = json::object();
  for (const auto& [key, value] : from.items()) {
    if (!to.contains(key)) patch[key] = nullptr;
  }
  for (const auto& [key, value] : to.items()) {
    const auto old = from.find(key);
    if (old == from.end()) {
      patch[key] = value;
    } else if (old->is_object() && value.is_object()) {
      json inner = MergeDiff(*old, value);
      if (!inner.empty()) patch[key] = std::move(inner);
    } else if (*old != value) {
      patch[key] = value;
    }
  }
  return patch;
}

}  // namespace berth::kube
