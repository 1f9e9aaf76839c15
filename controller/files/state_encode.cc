// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "controller/files/state_codec.h"

namespace berth::files {
namespace {

using Json = nlohmann::ordered_json;

std::string Str(absl::string_view text) { return std::string(text); }

// Bytes that are not UTF-8 become U+FFFD instead of an exception. The text is kept as long as its Service, so without
// the room it grew by.
std::string Dump(const Json& json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.shrink_to_fit();
  return text;
}

Json EncodeSpec(const model::Service& service) {
  Json spec;
  spec["type"] = service.load_balancer ? "LoadBalancer" : "ClusterIP";
  if (service.headless) spec["clusterIP"] = "None";
  if (service.load_balancer_class) spec["loadBalancerClass"] = *service.load_balancer_class;
  if (!service.load_balancer_ip.empty()) spec["loadBalancerIP"] = service.load_balancer_ip;
  for (Family family : service.ip_families) spec["ipFamilies"].push_back(Str(FamilyName(family)));
  static constexpr const char* kPolicies[] = {"SingleStack", "PreferDualStack", "RequireDualStack"};
  spec["ipFamilyPolicy"] = kPolicies[static_cast<std::size_t>(service.ip_family_policy)];
  if (service.traffic_policy == model::TrafficPolicy::kLocal) spec["externalTrafficPolicy"] = "Local";
  for (const model::ServicePort& port : service.ports) {
    Json entry;
    if (!port.name.empty()) entry["name"] = port.name;
    entry["protocol"] = port.protocol;
    entry["port"] = port.port;
    spec["ports"].push_back(std::move(entry));
  }
  if (!service.selector.empty()) spec["selector"] = service.selector;
  return spec;
}

// The part of a manifest that Berth reads: DecodeService's counterpart.
Json EncodeManifest(const model::Service& service) {
  Json metadata;
  metadata["name"] = service.id.name;
  metadata["namespace"] = service.id.ns;
  if (!service.annotations.empty()) metadata["annotations"] = service.annotations;
  if (service.created != absl::InfinitePast()) {
    metadata["creationTimestamp"] = absl::FormatTime(absl::RFC3339_full, service.created, absl::UTCTimeZone());
  }
  Json manifest;
  manifest["apiVersion"] = "v1";
  manifest["kind"] = "Service";
  manifest["metadata"] = std::move(metadata);
  manifest["spec"] = EncodeSpec(service);
  return manifest;
}

}  // namespace

std::string EncodeRecord(const model::ObjectId& id, const RecordedService& record) {
  Json json;
  json["service"] = id.ToString();
  json["allocations"] = Json::array();
  for (const model::Allocation& allocation : record.allocations) {
    Json entry;
    entry["address"] = allocation.address.ToString();
    entry["pool"] = allocation.pool;
    entry["protocol"] = Str(model::ProtocolName(allocation.protocol));
    if (!allocation.interface.empty()) entry["interface"] = allocation.interface;
    json["allocations"].push_back(std::move(entry));
  }
  if (!record.managed_by.empty()) json["managedBy"] = record.managed_by;
  if (record.hold) json["hold"] = true;
  if (!record.file.empty()) json["file"] = record.file;
  if (record.spec) json["manifest"] = EncodeManifest(*record.spec);
  return Dump(json);
}

void EncodeState(std::uint64_t term, const std::vector<model::ClusterSource::KnownAgent>& agents,
                 const RecordLines& records, const ByteSink& out) {
  out(absl::StrCat("{\n\"format\": \"berth-state/1\",\n\"term\": ", term, ",\n\"agents\": ["));
  absl::string_view comma = "\n";
  for (const auto& agent : agents) {
    Json json;
    json["node"] = agent.node;
    json["macs"] = Json::array();
    for (const MacAddr& mac : agent.macs) json["macs"].push_back(mac.ToString());
    out(comma);
    out(Dump(json));
    comma = ",\n";
  }
  out("\n],\n\"services\": [");
  comma = "\n";
  for (const auto& [id, line] : records) {
    out(comma);
    out(line);
    comma = ",\n";
  }
  out("\n]\n}\n");
}

}  // namespace berth::files
