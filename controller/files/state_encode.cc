// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "controller/files/json_line.h"
#include "controller/files/state_codec.h"

namespace berth::files {
namespace {

void AppendLabels(JsonLine& line, absl::string_view key, const model::Labels& labels) {
  if (labels.empty()) return;
  line.Key(key).Begin('{');
  for (const auto& [name, value] : labels) line.Name(name).Text(value);
  line.End('}');
}

void AppendSpec(JsonLine& line, const model::Service& service) {
  line.Begin('{').Member("type", service.load_balancer ? "LoadBalancer" : "ClusterIP");
  if (service.headless) line.Member("clusterIP", "None");
  if (service.load_balancer_class) line.Member("loadBalancerClass", *service.load_balancer_class);
  if (!service.load_balancer_ip.empty()) line.Member("loadBalancerIP", service.load_balancer_ip);
  if (!service.ip_families.empty()) {
    line.Key("ipFamilies").Begin('[');
    for (Family family : service.ip_families) line.Text(FamilyName(family));
    line.End(']');
  }
  static constexpr const char* kPolicies[] = {"SingleStack", "PreferDualStack", "RequireDualStack"};
  line.Member("ipFamilyPolicy", kPolicies[static_cast<std::size_t>(service.ip_family_policy)]);
  if (service.traffic_policy == model::TrafficPolicy::kLocal) line.Member("externalTrafficPolicy", "Local");
  if (!service.ports.empty()) {
    line.Key("ports").Begin('[');
    for (const model::ServicePort& port : service.ports) {
      line.Begin('{');
      if (!port.name.empty()) line.Member("name", port.name);
      line.Member("protocol", port.protocol).Key("port").Number(port.port).End('}');
    }
    line.End(']');
  }
  AppendLabels(line, "selector", service.selector);
  line.End('}');
}

// The part of a manifest that Berth reads: DecodeService's counterpart.
void AppendManifest(JsonLine& line, const model::Service& service) {
  line.Begin('{').Member("apiVersion", "v1").Member("kind", "Service").Key("metadata").Begin('{');
  line.Member("name", service.id.name).Member("namespace", service.id.ns);
  AppendLabels(line, "annotations", service.annotations);
  if (service.created != absl::InfinitePast()) {
    line.Member("creationTimestamp", absl::FormatTime(absl::RFC3339_full, service.created, absl::UTCTimeZone()));
  }
  line.End('}').Key("spec");
  AppendSpec(line, service);
  line.End('}');
}

}  // namespace

std::string EncodeRecord(const model::ObjectId& id, const RecordedService& record) {
  JsonLine line;
  line.Begin('{').Member("service", id.ToString()).Key("allocations").Begin('[');
  for (const model::Allocation& allocation : record.allocations) {
    line.Begin('{').Member("address", allocation.address.ToString()).Member("pool", allocation.pool);
    line.Member("protocol", model::ProtocolName(allocation.protocol));
    if (!allocation.interface.empty()) line.Member("interface", allocation.interface);
    line.End('}');
  }
  line.End(']');
  if (!record.managed_by.empty()) line.Member("managedBy", record.managed_by);
  if (record.hold) line.Key("hold").True();
  if (!record.file.empty()) line.Member("file", record.file);
  if (record.spec) {
    line.Key("manifest");
    AppendManifest(line, *record.spec);
  }
  std::string text = line.End('}').Take();
  text.shrink_to_fit();  // it is kept as long as its Service
  return text;
}

void EncodeState(std::uint64_t term, const std::vector<model::ClusterSource::KnownAgent>& agents,
                 const RecordLines& records, const ByteSink& out) {
  out(absl::StrCat("{\n\"format\": \"berth-state/1\",\n\"term\": ", term, ",\n\"agents\": ["));
  absl::string_view comma = "\n";
  for (const auto& agent : agents) {
    JsonLine line;
    line.Begin('{').Member("node", agent.node).Key("macs").Begin('[');
    for (const MacAddr& mac : agent.macs) line.Text(mac.ToString());
    line.End(']');
    if (agent.drained) line.Key("drained").True();
    out(comma);
    out(line.End('}').Take());
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
