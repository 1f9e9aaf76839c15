// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/net/quote.h"
#include "controller/admission/decide.h"
#include "controller/kube/objects/bgp_object.h"
#include "controller/kube/objects/read_field.h"

namespace berth::admission {
namespace {

bool NothingToJudge(const Review& review) {
  return (review.operation != "CREATE" && review.operation != "UPDATE") || SaysNothingNew(review);
}

Verdict Judged(const absl::Status& status) { return status.ok() ? Verdict() : Refused(status); }

}  // namespace

Verdict DecideBgpConf(const Review& review) {
  if (NothingToJudge(review)) return {};
  Verdict verdict = Judged(kube::CheckBgpConf(*review.object));
  const std::string name = kube::IdOf(*review.object).name;
  if (verdict.allowed && name != "default") {
    verdict.warnings.push_back(absl::StrCat("BgpConf ", Quote(name),
                                            " is without effect: only the one that is named \"default\" is acted on"));
  }
  return verdict;
}

Verdict DecideBgpPeer(const Review& review) {
  return NothingToJudge(review) ? Verdict() : Judged(kube::CheckBgpPeer(*review.object));
}

}  // namespace berth::admission
