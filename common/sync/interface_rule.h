// SPDX-License-Identifier: Apache-2.0
// common/sync/interface_rule.h -- spec.interface of an Eip: on which interface of a node its addresses are announced.
//
//   eth0                       the interface of that name
//   eth1,eth2                  one of these
//   regex:eth[0-9]+            one whose whole name matches (RE2: linear in time, so nobody's pattern hurts)
//   can_reach:192.168.50.1     the one that the node would send by to that address
//   auto                       the one whose subnet has the address, else the one with the default route
//
// A rule means one interface on each node, perhaps another on each. Controller and agents hold it against the same
// InterfaceInfos by this code, so both come to the same. Where several fit, first comes the one with the longest prefix
// that has the address, then one that is up, then the order of the list or the default route, then the name.
// All but names given in full leave out what never leads to a LAN: veth*, cali*, cni*, docker*, kube-ipvs0, lo and
// others (kNeverMeant). Ports of bridges and bonds are no InterfaceInfos at all. Pure.
#ifndef BERTH_COMMON_SYNC_INTERFACE_RULE_H_
#define BERTH_COMMON_SYNC_INTERFACE_RULE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/net/ip_addr.h"
#include "common/sync/messages.h"

namespace re2 {
class RE2;
}

namespace berth::sync {

class InterfaceRule {
 public:
  // Errors: InvalidArgument, which says what is wrong and what to write.
  static absl::StatusOr<InterfaceRule> Parse(absl::string_view text);

  // The one of `interfaces` that is meant for `address`, up or not. Errors: NotFound "no interface eth9 (it has eth0)",
  // to be read after the node's name and "has".
  absl::StatusOr<const InterfaceInfo*> Choose(const IpAddr& address,
                                              const std::vector<InterfaceInfo>& interfaces) const;
  const std::string& text() const { return text_; }
  // Whether Choose is the same for all addresses: the rule is one name.
  bool IsOneName() const { return kind_ == Kind::kNames && names_.size() == 1; }

 private:
  enum class Kind : std::uint8_t { kNames, kPattern, kCanReach, kAuto };
  InterfaceRule() = default;
  std::string WhyNone(const IpAddr& address, const std::vector<InterfaceInfo>& interfaces) const;
  const InterfaceInfo* ByRoute(const IpAddr& target, const std::vector<InterfaceInfo>& interfaces) const;

  Kind kind_ = Kind::kAuto;
  std::string text_;
  std::vector<std::string> names_;
  std::shared_ptr<const re2::RE2> pattern_;
  IpAddr target_;
};

}  // namespace berth::sync

#endif  // BERTH_COMMON_SYNC_INTERFACE_RULE_H_
