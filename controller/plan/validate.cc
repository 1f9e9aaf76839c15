// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/validate.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "common/sync/interface_rule.h"

namespace berth::plan {
namespace {

constexpr std::size_t kMaxListedUsers = 10;

std::string Described(const model::Pool& pool) { return absl::StrCat("Eip ", Quote(pool.name)); }

// IpAddr refuses their text, since each address has one form only: given to a Service, they could not be read back from
// what was recorded of it.
absl::Status ValidateNotMapped(const model::Pool& pool) {
  static const IpRange kMapped =
      *IpRange::Make(IpAddr::V6(absl::uint128(0xffff) << 32), IpAddr::V6((absl::uint128(0xffff) << 32) | 0xffffffffU));
  if (!pool.addresses.Overlaps(kMapped)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("invalid eip address format: ", Described(pool), ": spec.address ", Quote(pool.address_text),
                   " has IPv4-mapped IPv6 addresses in it (::ffff:0:0/96), which are no addresses of a LAN; "
                   "leave them out"));
}

absl::Status ValidateInterface(const model::Pool& pool) {
  if (pool.protocol == model::Protocol::kBgp) return absl::OkStatus();
  if (pool.interface.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "if protocol is layer2 or vip, interface should not be empty: ", Described(pool), ": spec.protocol is ",
        model::ProtocolName(pool.protocol), " and spec.interface is empty; name an interface such as eth0"));
  }
  const absl::Status status = sync::InterfaceRule::Parse(pool.interface).status();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::StrCat(Described(pool), ": spec.interface ", Quote(pool.interface), ": ", status.message()));
}

absl::Status ValidateNodeSelector(const model::Pool& pool) {
  if (!pool.node_selector) return absl::OkStatus();
  static constexpr std::array<absl::string_view, 4> kOps = {"In", "NotIn", "Exists", "DoesNotExist"};
  for (const auto& requirement : pool.node_selector->match_expressions) {
    const std::string field =
        absl::StrCat(Described(pool), ": spec.nodeSelector.matchExpressions, key ", Quote(requirement.key), ": ");
    const absl::string_view op = requirement.op;
    if (std::find(kOps.begin(), kOps.end(), op) == kOps.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, "operator ", Quote(op), " is unknown; write In, NotIn, Exists or DoesNotExist"));
    }
    const bool needs_values = op == "In" || op == "NotIn";
    if (needs_values == requirement.values.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          field, "operator ", op, needs_values ? " needs values; list some" : " takes no values; remove them"));
    }
  }
  return absl::OkStatus();
}

// The first pair of ranges that overlap, or nothing.
std::optional<std::pair<IpRange, IpRange>> Overlap(const IpRangeSet& a, const IpRangeSet& b) {
  if (!a.Overlaps(b)) return std::nullopt;
  const std::vector<IpRange> theirs = b.ranges();
  for (const IpRange& mine : a.ranges()) {
    const auto hit = std::find_if(theirs.begin(), theirs.end(), [&mine](const IpRange& r) { return r.Overlaps(mine); });
    if (hit != theirs.end()) return std::make_pair(mine, *hit);
  }
  return std::nullopt;
}

std::string UsersOf(const std::vector<IpAddr>& addresses, const Ledger& ledger) {
  std::vector<std::string> users;
  for (const IpAddr& address : addresses) {
    for (const Claim& owner : ledger.OwnersOf(address)) {
      if (users.size() == kMaxListedUsers) return absl::StrCat(absl::StrJoin(users, ", "), " and others");
      users.push_back(absl::StrCat(owner.service.ToString(), " (", address.ToString(), ")"));
    }
  }
  return absl::StrJoin(users, ", ");
}

}  // namespace

absl::Status ValidatePool(const model::Pool& pool) {
  const auto first = pool.addresses.First();
  const auto last = pool.addresses.Last();
  if (!first || first->family() != pool.family || last->family() != pool.family) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid eip address format: ", Described(pool), ": spec.address ", Quote(pool.address_text),
                     first ? " mixes IPv4 and IPv6; create one Eip for each"
                           : " has no address; write one IP, a CIDR, first-last, or a comma list of these"));
  }
  RETURN_IF_ERROR(ValidateNotMapped(pool));
  RETURN_IF_ERROR(ValidateInterface(pool));
  return ValidateNodeSelector(pool);
}

absl::Status ValidateAgainst(const model::Pool& pool, const std::map<std::string, model::Pool>& others) {
  for (const auto& [name, other] : others) {
    if (name == pool.name) continue;
    if (const auto overlap = Overlap(pool.addresses, other.addresses)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "eip address overlap with ", name, ": ", Described(pool), ": spec.address ", Quote(pool.address_text), ": ",
          overlap->first.ToString(), " overlaps ", overlap->second.ToString(), " of spec.address ",
          Quote(other.address_text), " of ", Described(other), "; change one of them"));
    }
  }
  if (!pool.is_default) return absl::OkStatus();
  for (const auto& [name, other] : others) {
    if (name == pool.name || !other.is_default) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("already exists a default EIP: ", Described(pool), ": annotation ", model::kDefaultPoolAnnotation,
                     " is \"true\", but ", Described(other), " is the default; take the annotation off one of them"));
  }
  return absl::OkStatus();
}

absl::Status ValidateUpdate(const model::Pool& before, const model::Pool& after, const Ledger& ledger) {
  IpRangeSet left_out = before.addresses;
  left_out.Remove(after.addresses);
  std::vector<IpAddr> used;
  for (const IpRange& range : left_out.ranges()) {
    const std::vector<IpAddr> within = ledger.UsedWithin(range);
    used.insert(used.end(), within.begin(), within.end());
  }
  if (used.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the address field is not allowed to be modified: ", Described(before), ": spec.address ",
                   Quote(after.address_text), " leaves out ", used.size(), " of the addresses in use, of ",
                   UsersOf(used, ledger), "; keep them in spec.address, or release these Services first"));
}

}  // namespace berth::plan
