// SPDX-License-Identifier: Apache-2.0
// Nodes, namespaces and EndpointSlices.
#include <utility>

#include "absl/strings/str_cat.h"
#include "controller/files/manifest/decode.h"

namespace berth::files {
namespace {

constexpr char kNamespaceNameLabel[] = "kubernetes.io/metadata.name";

bool IsMap(FieldReader& read, const Field& element) {
  if (element.value()->kind == Value::Kind::kMap) return true;
  read.Problem(element, absl::StrCat("must be a map, not ", KindWords(element.value()->kind)));
  return false;
}

model::Endpoint DecodeEndpoint(FieldReader& read, const Field& element) {
  model::Endpoint endpoint;
  endpoint.node = std::string(read.String(element, "nodeName").value_or(""));
  const Field conditions = read.Map(element, "conditions");
  endpoint.ready = read.Bool(conditions, "ready").value_or(true);
  endpoint.serving = read.Bool(conditions, "serving").value_or(endpoint.ready);
  endpoint.terminating = read.Bool(conditions, "terminating").value_or(false);
  return endpoint;
}

}  // namespace

model::Node DecodeNode(FieldReader& read, const Field& root, std::string name) {
  model::Node node;
  node.name = std::move(name);
  node.explicit_object = true;
  node.labels = read.StringMap(read.Map(root, "metadata"), "labels");
  node.unschedulable = read.Bool(read.Map(root, "spec"), "unschedulable").value_or(false);
  const Field status = read.Map(root, "status");
  const Field conditions = read.List(status, "conditions");
  for (const Field& element : read.Elements(conditions)) {
    if (!IsMap(read, element)) continue;
    const auto type = read.String(element, "type");
    const auto state = read.Enum(element, "status", {"True", "False", "Unknown"});
    if (type == absl::string_view("Ready")) node.ready = state == 0u;
    if (type == absl::string_view("NetworkUnavailable")) node.network_unavailable = state == 0u;
  }
  return node;
}

model::Namespace DecodeNamespace(FieldReader& read, const Field& root, std::string name) {
  model::Namespace ns;
  ns.labels = read.StringMap(read.Map(root, "metadata"), "labels");
  ns.labels[kNamespaceNameLabel] = name;  // the API server sets it on each
  ns.name = std::move(name);
  return ns;
}

std::optional<model::EndpointSlice> DecodeEndpointSlice(FieldReader& read, const Field& root, model::ObjectId id) {
  model::EndpointSlice slice;
  const auto type = read.Enum(root, "addressType", {"IPv4", "IPv6", "FQDN"});
  if (!type && !read.Get(root, "addressType").present()) {
    read.Problem(read.Get(root, "addressType"), "is missing, it is IPv4 or IPv6");
  }
  slice.family = type == 1u ? Family::kIpv6 : Family::kIpv4;
  const model::Labels labels = read.StringMap(read.Map(root, "metadata"), "labels");
  if (auto it = labels.find(model::kServiceNameLabel); it != labels.end()) slice.service = {id.ns, it->second};
  slice.id = std::move(id);
  const Field endpoints = read.List(root, "endpoints");
  for (const Field& element : read.Elements(endpoints)) {
    if (IsMap(read, element)) slice.endpoints.push_back(DecodeEndpoint(read, element));
  }
  if (type == 2u || slice.service.name.empty()) return std::nullopt;
  return slice;
}

}  // namespace berth::files
