// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/decide.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/net/quote.h"

namespace berth::admission {
namespace {

struct Entry {
  Hook hook;
  const char* path;
  const char* group;
  const char* resource;
};
constexpr Entry kHooks[] = {
    {Hook::kEip, "/validate-network-kubesphere-io-v1alpha2-eip", "network.kubesphere.io", "eips"},
    {Hook::kBgpConf, "/validate-network-kubesphere-io-v1alpha2-bgpconf", "network.kubesphere.io", "bgpconfs"},
    {Hook::kBgpPeer, "/validate-network-kubesphere-io-v1alpha2-bgppeer", "network.kubesphere.io", "bgppeers"},
    {Hook::kService, "/mutate-v1-service", "", "services"},
};

}  // namespace

std::optional<Hook> HookOf(absl::string_view path) {
  for (const Entry& entry : kHooks) {
    if (path == entry.path) return entry.hook;
  }
  return std::nullopt;
}

Verdict Decide(Hook hook, const Review& review, const AdmissionView& view) {
  for (const Entry& entry : kHooks) {
    if (entry.hook != hook || (review.group == entry.group && review.resource == entry.resource)) continue;
    Verdict verdict = Refused(absl::InvalidArgumentError(
        absl::StrCat("the webhook configuration sends ", Quote(absl::StrCat(review.resource, ".", review.group)),
                     " to ", entry.path, ", which is for ", entry.resource, "; correct its path or its rules")));
    verdict.code = 400;
    return verdict;
  }
  switch (hook) {
    case Hook::kEip:
      return DecideEip(review, view);
    case Hook::kBgpConf:
      return DecideBgpConf(review);
    case Hook::kBgpPeer:
      return DecideBgpPeer(review);
    case Hook::kService:
      return DecideService(review, view);
  }
  return {};
}

}  // namespace berth::admission
