// SPDX-License-Identifier: Apache-2.0
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/net/quote.h"
#include "controller/files/manifest/decode.h"

namespace berth::files {
namespace {

constexpr std::int64_t kMinInt = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

bool IsTrue(const model::Labels& annotations, const char* key) {
  auto it = annotations.find(key);
  return it != annotations.end() && it->second == "true";
}

model::LabelSelector::Requirement DecodeRequirement(FieldReader& read, const Field& element) {
  model::LabelSelector::Requirement requirement;
  if (element.value()->kind != Value::Kind::kMap) {
    read.Problem(element, absl::StrCat("must be a map, not ", KindWords(element.value()->kind)));
    return requirement;
  }
  requirement.key = std::string(read.String(element, "key").value_or(""));
  if (requirement.key.empty()) read.Problem(element, "has no key");
  if (read.Enum(element, "operator", {"In", "NotIn", "Exists", "DoesNotExist"})) {
    requirement.op = std::string(*read.String(element, "operator"));
  } else if (!read.Get(element, "operator").present()) {
    read.Problem(element, "has no operator");
  }
  requirement.values = read.Strings(element, "values");
  const bool wants_values = requirement.op == "In" || requirement.op == "NotIn";
  if (!requirement.op.empty() && wants_values == requirement.values.empty()) {
    read.Problem(element,
                 absl::StrCat("operator ", requirement.op, wants_values ? " needs values" : " must not have values"));
  }
  return requirement;
}

std::optional<model::LabelSelector> DecodeSelector(FieldReader& read, const Field& spec) {
  const Field field = read.Map(spec, "nodeSelector");
  if (!field.present()) return std::nullopt;
  model::LabelSelector selector;
  selector.match_labels = read.StringMap(field, "matchLabels");
  const Field expressions = read.List(field, "matchExpressions");
  for (const Field& element : read.Elements(expressions)) {
    selector.match_expressions.push_back(DecodeRequirement(read, element));
  }
  // A plain map, as namespaceSelector is, would silently select every node.
  for (const Value& child : field.value()->children) {
    if (child.key != "matchLabels" && child.key != "matchExpressions") {
      read.Problem(field, absl::StrCat(Quote(child.key), " is not one of matchLabels, matchExpressions"));
    }
  }
  return selector;
}

void DecodeAddress(FieldReader& read, const Field& spec, bool v1alpha1, model::Pool& pool) {
  const Field field = read.Get(spec, "address");
  const std::optional<absl::string_view> text = read.String(field);
  if (!text) {
    if (!field.present()) read.Problem(field, "is missing, name an address, a CIDR or a range a-b");
    return;
  }
  pool.address_text = std::string(*text);
  absl::StatusOr<IpRangeSet> addresses = IpRangeSet::Parse(*text);
  if (!addresses.ok()) {
    read.Problem(field, addresses.status().message());
    return;
  }
  pool.addresses = *std::move(addresses);
  if (const std::optional<IpAddr> first = pool.addresses.First()) pool.family = first->family();
  if (v1alpha1 && pool.family == Family::kIpv6) {
    read.Problem(field, absl::StrCat(Quote(*text), " is IPv6, which needs apiVersion network.kubesphere.io/v1alpha2"));
  }
}

}  // namespace

model::Pool DecodePool(FieldReader& read, const Field& root, std::string name, bool v1alpha1) {
  model::Pool pool;
  pool.name = std::move(name);
  const Field metadata = read.Map(root, "metadata");
  const model::Labels annotations = read.StringMap(metadata, "annotations");
  // In any case, as OpenELB's webhook reads it.
  if (auto it = annotations.find(model::kDefaultPoolAnnotation); it != annotations.end()) {
    pool.is_default = absl::EqualsIgnoreCase(it->second, "true");
  }
  pool.avoid_buggy_ips = IsTrue(annotations, model::kAvoidBuggyAnnotation);
  pool.force_delete = IsTrue(annotations, model::kForceDeleteAnnotation);

  const Field spec = read.Map(root, "spec");
  if (!spec.present() && read.Get(root, "spec").present()) return pool;  // no map: told already
  DecodeAddress(read, spec, v1alpha1, pool);
  const auto protocol =
      v1alpha1 ? read.Enum(spec, "protocol", {"bgp", "layer2"}) : read.Enum(spec, "protocol", {"bgp", "layer2", "vip"});
  if (protocol) pool.protocol = *model::ParseProtocol(*read.String(spec, "protocol"));
  pool.interface = std::string(read.String(spec, "interface").value_or(""));
  pool.disable = read.Bool(spec, "disable").value_or(false);
  read.Bool(spec, "usingKnownIPs");  // accepted and without effect, as in OpenELB
  if (v1alpha1) return pool;
  pool.priority = read.Int(spec, "priority", kMinInt, kMaxInt).value_or(0);
  pool.namespaces = read.Strings(spec, "namespaces");
  if (read.Get(spec, "namespaceSelector").present())
    pool.namespace_selector = read.StringMap(spec, "namespaceSelector");
  pool.node_selector = DecodeSelector(read, spec);
  return pool;
}

}  // namespace berth::files
