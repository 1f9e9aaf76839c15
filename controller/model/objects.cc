// SPDX-License-Identifier: Apache-2.0
#include "controller/model/objects.h"

#include <algorithm>
#include <array>

#include "absl/hash/hash.h"

#include "controller/model/source.h"

namespace berth::model {

absl::string_view ProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kLayer2:
      return "layer2";
    case Protocol::kBgp:
      return "bgp";
    case Protocol::kVip:
      return "vip";
  }
  return "unknown";
}

std::optional<Protocol> ParseProtocol(absl::string_view text) {
  if (text == "layer2") return Protocol::kLayer2;
  if (text == "bgp") return Protocol::kBgp;
  if (text == "vip") return Protocol::kVip;
  return std::nullopt;
}

bool Holds(const std::vector<Allocation>& list, const IpAddr& address) {
  return std::any_of(list.begin(), list.end(), [&](const Allocation& a) { return a.address == address; });
}

std::uint64_t Fingerprint(absl::string_view reason, absl::string_view message) {
  return absl::HashOf(reason, message) | 1;
}

bool LabelSelector::Matches(const Labels& labels) const {
  for (const auto& [key, value] : match_labels) {
    auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  for (const Requirement& r : match_expressions) {
    auto it = labels.find(r.key);
    const bool present = it != labels.end();
    const bool listed = present && std::find(r.values.begin(), r.values.end(), it->second) != r.values.end();
    if (r.op == "In" && !listed) return false;
    if (r.op == "NotIn" && listed) return false;
    if (r.op == "Exists" && !present) return false;
    if (r.op == "DoesNotExist" && present) return false;
  }
  return true;
}

bool IsServiceAnnotation(absl::string_view key) {
  static const std::array<absl::string_view, 6> kKeys = {kOptInAnnotation,     kPoolAnnotation,
                                                         kAddressAnnotation,   kProtocolAnnotation,
                                                         kNodeProxyAnnotation, kSharingKeyAnnotation};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

bool ClusterDelta::empty() const {
  return pools.empty() && gone_pools.empty() && services.empty() && gone_services.empty() && nodes.empty() &&
         gone_nodes.empty() && namespaces.empty() && gone_namespaces.empty() && slices.empty() && gone_slices.empty();
}

}  // namespace berth::model
