// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/net/quote.h"
#include "controller/files/manifest/decode.h"

namespace berth::files {
namespace {

// Kubernetes itself sets no limit but the size of an object.
constexpr std::size_t kMaxPorts = 65536;
constexpr absl::string_view kProtocols[] = {"TCP", "UDP", "SCTP"};

void DecodeMetadata(FieldReader& read, const Field& root, model::Service& service) {
  const Field metadata = read.Map(root, "metadata");
  for (auto& [key, value] : read.StringMap(metadata, "annotations")) {
    if (model::IsServiceAnnotation(key)) service.annotations.emplace(key, value);
  }
  const Field created = read.Get(metadata, "creationTimestamp");
  const std::optional<absl::string_view> text = read.String(created);
  if (!text) return;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, *text, &service.created, &error)) {
    read.Problem(created, absl::StrCat(Quote(*text), " is not a time such as 2026-01-02T03:04:05Z"));
  }
}

// The policy and the families fill each other in as the API server does it (initIPFamilyFields).
void DecodeFamilies(FieldReader& read, const Field& spec, model::Service& service) {
  const Field list = read.List(spec, "ipFamilies");
  for (const Field& element : read.Elements(list)) {
    const std::optional<absl::string_view> text = read.String(element);
    if (!text) continue;
    if (*text != "IPv4" && *text != "IPv6") {
      read.Problem(element, absl::StrCat(Quote(*text), " is not one of IPv4, IPv6"));
      continue;
    }
    service.ip_families.push_back(*text == "IPv4" ? Family::kIpv4 : Family::kIpv6);
  }
  std::vector<Family>& families = service.ip_families;
  if (families.size() > 2 || (families.size() == 2 && families[0] == families[1])) {
    read.Problem(list, "must name each of IPv4 and IPv6 at most once");
    return;
  }
  if (families.empty()) families.push_back(Family::kIpv4);
  const auto policy = read.Enum(spec, "ipFamilyPolicy", {"SingleStack", "PreferDualStack", "RequireDualStack"});
  if (!policy) {
    service.ip_family_policy =
        families.size() == 2 ? model::IpFamilyPolicy::kRequireDualStack : model::IpFamilyPolicy::kSingleStack;
    return;
  }
  service.ip_family_policy = static_cast<model::IpFamilyPolicy>(*policy);
  if (service.ip_family_policy == model::IpFamilyPolicy::kSingleStack) {
    if (families.size() == 2) read.Problem(list, "has two families, which ipFamilyPolicy SingleStack does not allow");
  } else if (families.size() == 1) {
    families.push_back(families[0] == Family::kIpv4 ? Family::kIpv6 : Family::kIpv4);
  }
}

void DecodePorts(FieldReader& read, const Field& spec, model::Service& service) {
  const Field list = read.List(spec, "ports");
  if (list.present() && list.value()->children.size() > kMaxPorts) {
    read.Problem(list, absl::StrCat("lists more than ", kMaxPorts, " ports"));
    return;
  }
  std::set<std::pair<std::string, std::uint16_t>> seen;
  for (const Field& element : read.Elements(list)) {
    if (element.value()->kind != Value::Kind::kMap) {
      read.Problem(element, absl::StrCat("must be a map, not ", KindWords(element.value()->kind)));
      continue;
    }
    model::ServicePort port;
    port.name = std::string(read.String(element, "name").value_or(""));
    if (const auto protocol = read.Enum(element, "protocol", {kProtocols[0], kProtocols[1], kProtocols[2]})) {
      port.protocol = std::string(kProtocols[*protocol]);
    }
    if (const auto number = read.Int(element, "port", 1, 65535)) {
      port.port = static_cast<std::uint16_t>(*number);
    } else if (!read.Get(element, "port").present()) {
      read.Problem(element, "has no port");
    }
    if (port.port != 0 && !seen.emplace(port.protocol, port.port).second) {
      read.Problem(element, absl::StrCat(port.protocol, " port ", port.port, " is listed twice"));
    }
    service.ports.push_back(std::move(port));
  }
  if (service.load_balancer && service.ports.empty() && read.ok()) {
    read.Problem(list, "is missing, a Service of type LoadBalancer needs a port");
  }
}

}  // namespace

model::Service DecodeService(FieldReader& read, const Field& root, model::ObjectId id) {
  model::Service service;
  service.id = std::move(id);
  DecodeMetadata(read, root, service);

  const Field spec = read.Map(root, "spec");
  const auto type = read.Enum(spec, "type", {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"});
  service.load_balancer = type == 2u;
  service.headless = read.String(spec, "clusterIP") == absl::string_view("None");
  if (const auto lb_class = read.String(spec, "loadBalancerClass"))
    service.load_balancer_class = std::string(*lb_class);
  service.load_balancer_ip = std::string(read.String(spec, "loadBalancerIP").value_or(""));
  if (const auto policy = read.Enum(spec, "externalTrafficPolicy", {"Cluster", "Local"})) {
    service.traffic_policy = static_cast<model::TrafficPolicy>(*policy);
  }
  service.selector = read.StringMap(spec, "selector");
  DecodeFamilies(read, spec, service);
  DecodePorts(read, spec, service);
  return service;
}

}  // namespace berth::files
