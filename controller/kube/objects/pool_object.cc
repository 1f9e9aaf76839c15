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
  PoolObject out;
  const json& metadata = MapAt(object, "metadata");
  const std::string name = StringAt(metadata, "name");
  ASSIGN_OR_RETURN(const files::Documents document, ToDocument(object));
  files::FieldReader read("", absl::StrCat("Eip ", Quote(name)));
  out.pool = files::DecodePool(read, files::Field(document.roots[0]), name, /*v1alpha1=*/false);
  if (!read.ok()) return absl::InvalidArgumentError(read.problems().front());
  out.pool.revision = StringAt(metadata, "resourceVersion");
  out.pool.deleting = !StringAt(metadata, "deletionTimestamp").empty();
  out.uid = StringAt(metadata, "uid");
  for (const json& finalizer : ListAt(metadata, "finalizers")) {
    if (finalizer == kPoolFinalizer) {
      out.pool.has_finalizer = true;
    } else if (finalizer.is_string()) {
      out.other_finalizers.push_back(finalizer.get<std::string>());
    }
  }
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

std::string FinalizerPatch(const PoolObject& object, bool keep) {
  json finalizers = object.other_finalizers;
  if (keep) finalizers.push_back(kPoolFinalizer);
  const json patch = {{"metadata",
                       {{"resourceVersion", object.pool.revision},
                        {"finalizers", finalizers.empty() ? json(nullptr) : std::move(finalizers)}}}};
  return patch.dump();
}

}  // namespace berth::kube
