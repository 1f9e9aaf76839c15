// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/admission/decide.h"
#include "controller/kube/objects/pool_object.h"
#include "controller/kube/objects/read_field.h"
#include "controller/plan/validate.h"

namespace berth::admission {
namespace {

using kube::MapAt;
using kube::StringAt;
using nlohmann::json;

constexpr std::size_t kMaxNamed = 4;  // users, in a warning

// Errors begin with OpenELB's text where it has one.
absl::StatusOr<model::Pool> ReadEip(const json& object) {
  const absl::StatusOr<kube::PoolObject> read = kube::ReadPool(object);
  if (read.ok()) return read->pool;
  if (IpRangeSet::Parse(StringAt(MapAt(object, "spec"), "address")).ok()) return read.status();
  return Annotate(read.status(), "invalid eip address format");
}

absl::Status CheckNew(const Review& review, const AdmissionView& view) {
  ASSIGN_OR_RETURN(const model::Pool pool, ReadEip(*review.object));
  RETURN_IF_ERROR(plan::ValidatePool(pool));
  return plan::ValidateAgainst(pool, view.Pools());
}

absl::Status CheckChange(const Review& review, const AdmissionView& view) {
  const bool spec_changes = MapAt(*review.object, "spec") != MapAt(*review.before, "spec");
  const absl::StatusOr<model::Pool> before = ReadEip(*review.before);
  const absl::StatusOr<model::Pool> after = ReadEip(*review.object);
  // Of annotations only one can break a rule.
  const bool becomes_default = after.ok() && after->is_default && !(before.ok() && before->is_default);
  if (!spec_changes && !becomes_default) return absl::OkStatus();
  RETURN_IF_ERROR(after.status());
  if (spec_changes) RETURN_IF_ERROR(plan::ValidatePool(*after));
  const bool moves = !before.ok() || before->addresses != after->addresses;
  model::Pool changed = *after;
  if (!moves) changed.addresses = IpRangeSet();
  changed.is_default = becomes_default;
  RETURN_IF_ERROR(plan::ValidateAgainst(changed, view.Pools()));
  if (!moves || !before.ok()) return absl::OkStatus();
  plan::Ledger used;
  for (const plan::Claim& claim : view.ClaimsWithin(before->addresses)) used.Assign(claim);
  return plan::ValidateUpdate(*before, *after, used);
}

// Deleting one in use is allowed, and better not done unawares.
std::vector<std::string> UsersWarning(const Review& review, const AdmissionView& view) {
  const absl::StatusOr<model::Pool> pool = ReadEip(*review.before);
  if (!pool.ok() || pool->deleting) return {};
  const std::vector<plan::Claim> claims = view.ClaimsWithin(pool->addresses);
  if (claims.empty()) return {};
  std::vector<std::string> users;
  for (const plan::Claim& claim : claims) {
    if (users.size() == kMaxNamed) break;
    users.push_back(absl::StrCat(claim.service.ToString(), " (", claim.allocation.address.ToString(), ")"));
  }
  std::string who = absl::StrJoin(users, ", ");
  if (claims.size() > users.size()) absl::StrAppend(&who, " and ", claims.size() - users.size(), " more");
  const std::string eip = absl::StrCat("Eip ", Quote(pool->name));
  if (pool->force_delete) {
    return {absl::StrCat(eip, " is deleted by force: its addresses are taken from Services now: ", who)};
  }
  return {absl::StrCat(eip, " is in use and stays until the last Service lets go of its address"),
          absl::StrCat("users of ", eip, ": ", who),
          absl::StrCat("annotation ", model::kForceDeleteAnnotation, ": \"true\" on ", eip,
                       " would take the addresses from them")};
}

}  // namespace

Verdict DecideEip(const Review& review, const AdmissionView& view) {
  Verdict verdict;
  if (review.operation == "DELETE") {
    verdict.warnings = UsersWarning(review, view);
    return verdict;
  }
  if ((review.operation != "CREATE" && review.operation != "UPDATE") || SaysNothingNew(review)) return verdict;
  if (!view.Synced()) {
    verdict = Refused(absl::UnavailableError(
        "this controller has just started and does not know the other Eips yet; try again in some seconds"));
    verdict.code = 503;
    return verdict;
  }
  const absl::Status status = review.operation == "CREATE" ? CheckNew(review, view) : CheckChange(review, view);
  return status.ok() ? verdict : Refused(status);
}

}  // namespace berth::admission
