// SPDX-License-Identifier: Apache-2.0
// Anybody who reaches the webhook's port may send it any bytes: they give an answer or a refusal, never a crash. An
// answer is JSON and for the question asked; a refusal says why; a patch makes of an object what carries it out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"
#include "controller/admission/decide.h"

namespace berth::admission {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

class View final : public AdmissionView {
 public:
  View() {
    rules_.manage_unclassed = true;
    model::Pool pool;
    pool.name = "edge";
    pool.address_text = "192.0.2.0/24";
    pool.addresses = *IpRangeSet::Parse(pool.address_text);
    pool.protocol = model::Protocol::kLayer2;
    pool.interface = "eth0";
    pool.is_default = true;
    pools_[pool.name] = pool;
  }
  bool Synced() const override { return true; }
  const std::map<std::string, model::Pool>& Pools() const override { return pools_; }
  std::vector<plan::Claim> ClaimsWithin(const IpRangeSet& addresses) const override {
    plan::Claim claim;
    claim.service = {"shop", "web"};
    claim.allocation.address = *IpAddr::Parse("192.0.2.10");
    if (!addresses.Contains(claim.allocation.address)) return {};
    return {claim};
  }
  const plan::Rules& Rules() const override { return rules_; }
  const model::Labels& NamespaceLabels(const std::string&) const override { return labels_; }
  std::optional<Family> FirstFamily() const override { return Family::kIpv4; }

 private:
  std::map<std::string, model::Pool> pools_;
  plan::Rules rules_;
  model::Labels labels_;
};

void Check(absl::string_view body) {
  static const View* const view = new View;
  const absl::StatusOr<Review> review = ParseReview(body);
  if (!review.ok()) return;
  for (const Hook hook : {Hook::kEip, Hook::kBgpConf, Hook::kBgpPeer, Hook::kService}) {
    const Verdict verdict = Decide(hook, *review, *view);
    const nlohmann::json answer = nlohmann::json::parse(ReviewResponse(*review, verdict))["response"];
    Require(answer["uid"] == review->uid);
    Require(answer["allowed"] == verdict.allowed);
    Require(verdict.allowed || !answer["status"]["message"].get<std::string>().empty());
    if (verdict.patch.empty()) continue;
    Require(verdict.allowed);
    const nlohmann::json patched = review->object->patch(nlohmann::json::parse(verdict.patch));
    Require(patched["metadata"]["annotations"][model::kPoolAnnotation] == "edge");
  }
}

}  // namespace
}  // namespace berth::admission

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  berth::admission::Check(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
