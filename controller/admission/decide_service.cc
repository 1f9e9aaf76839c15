// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "controller/admission/decide.h"
#include "controller/kube/objects/read_field.h"
#include "controller/kube/objects/service_object.h"
#include "controller/plan/choose_pool.h"
#include "controller/plan/validate.h"
#include "controller/plan/wish.h"

namespace berth::admission {
namespace {

using nlohmann::json;

// The Eips that are, or could be, in force beside each other.
plan::Ledger InForce(const std::map<std::string, model::Pool>& pools) {
  plan::Ledger ledger;
  for (const auto& [name, pool] : pools) {
    const bool fits = plan::ValidatePool(pool).ok() && plan::ValidateAgainst(pool, ledger.pools()).ok();
    if (fits) ledger.UpsertPool(pool);
  }
  return ledger;
}

std::string Step(absl::string_view key) { return absl::StrReplaceAll(key, {{"~", "~0"}, {"/", "~1"}}); }

}  // namespace

Verdict DecideService(const Review& review, const AdmissionView& view) {
  if (review.operation != "CREATE" || !view.Rules().manage_unclassed || !view.Synced()) return {};
  absl::StatusOr<kube::ServiceObject> read = kube::ReadService(*review.object);
  if (!read.ok()) return {};  // the API server will say so itself
  model::Service& service = read->service;
  service.id.ns = review.ns;  // the object need not say it
  const bool ours = service.load_balancer && !service.headless && service.load_balancer_class.value_or("").empty();
  if (!ours) return {};

  const absl::StatusOr<plan::Wish> wish = plan::ReadWish(service);
  if (!wish.ok() || !wish->pools.empty() || !wish->addresses.empty()) return {};
  // Of one family for sure: one name cannot stand for two Eips. The API server fills in what the object does not say
  // only after this.
  if (service.ip_family_policy != model::IpFamilyPolicy::kSingleStack) return {};
  if (kube::ListAt(kube::MapAt(*review.object, "spec"), "ipFamilies").empty()) {
    const std::optional<Family> first = view.FirstFamily();
    if (!first) return {};
    service.ip_families = {*first};
  }
  const std::vector<Family> families = plan::FamiliesOf(service);
  const plan::Ledger ledger = InForce(view.Pools());
  const plan::PoolChoice choice = plan::ChoosePool(
      {service, *wish, families, ledger, view.NamespaceLabels(service.id.ns), view.Rules()}, families.front());
  // Named, an Eip is asked for also when it is full: so only one that would be waited for anyhow.
  if (choice.pool == nullptr || !choice.pool->is_default || choice.pool->namespace_bound()) return {};

  const json& annotations = kube::MapAt(kube::MapAt(*review.object, "metadata"), "annotations");
  json patch = json::array();
  // No API server sends an object without; a patch below it would not apply.
  if (!review.object->contains("metadata") || !(*review.object)["metadata"].is_object()) {
    patch.push_back({{"op", "add"}, {"path", "/metadata"}, {"value", json::object()}});
  }
  if (annotations.empty()) {
    patch.push_back({{"op", "add"}, {"path", "/metadata/annotations"}, {"value", json::object()}});
  }
  const std::pair<const char*, std::string> wanted[] = {
      {model::kOptInAnnotation, "openelb"},
      {model::kPoolAnnotation, choice.pool->name},
      {model::kProtocolAnnotation, std::string(model::ProtocolName(choice.pool->protocol))}};
  for (const auto& [key, value] : wanted) {
    if (annotations.contains(key)) continue;
    patch.push_back({{"op", "add"}, {"path", absl::StrCat("/metadata/annotations/", Step(key))}, {"value", value}});
  }
  Verdict verdict;
  verdict.patch = patch.dump();
  return verdict;
}

}  // namespace berth::admission
