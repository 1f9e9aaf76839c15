// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/wish.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"

namespace berth::plan {
namespace {

constexpr char kLoadBalancerIp[] = "spec.loadBalancerIP";

std::string AnnotationField(const char* key) { return absl::StrCat("annotation ", key); }

absl::string_view ValueOf(const model::Service& service, const char* key) {
  const auto it = service.annotations.find(key);
  return it == service.annotations.end() ? absl::string_view() : absl::StripAsciiWhitespace(it->second);
}

// The parts of a comma list, trimmed; none when the text is blank. Errors: InvalidArgument on an empty part.
absl::StatusOr<std::vector<std::string>> SplitList(absl::string_view text, absl::string_view field) {
  std::vector<std::string> parts;
  if (absl::StripAsciiWhitespace(text).empty()) return parts;
  for (const absl::string_view raw : absl::StrSplit(text, ',')) {
    parts.emplace_back(absl::StripAsciiWhitespace(raw));
    if (parts.back().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, " ", Quote(text), " has an empty part; remove the extra comma"));
    }
  }
  return parts;
}

absl::Status AddAddresses(absl::string_view text, const std::string& field, Wish& wish) {
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, SplitList(text, field));
  for (const std::string& part : parts) {
    const absl::StatusOr<IpAddr> address = IpAddr::Parse(part);
    if (!address.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("invalid requested IP: ", field, " ", Quote(text), ": ",
                                                     address.status().message(),
                                                     "; write one IP address for each family, or clear it"));
    }
    const auto [had, added] = wish.addresses.try_emplace(address->family(), WantedAddress{*address, field});
    if (added || had->second.address == *address) continue;
    return absl::InvalidArgumentError(absl::StrCat(field, " asks for ", address->ToString(), " but ", had->second.field,
                                                   " asks for ", had->second.address.ToString(), ", both ",
                                                   FamilyName(address->family()), "; keep one of them"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Wish> ReadWish(const model::Service& service) {
  Wish wish;
  ASSIGN_OR_RETURN(wish.pools,
                   SplitList(ValueOf(service, model::kPoolAnnotation), AnnotationField(model::kPoolAnnotation)));
  RETURN_IF_ERROR(
      AddAddresses(ValueOf(service, model::kAddressAnnotation), AnnotationField(model::kAddressAnnotation), wish));
  RETURN_IF_ERROR(AddAddresses(service.load_balancer_ip, kLoadBalancerIp, wish));
  const absl::string_view protocol = ValueOf(service, model::kProtocolAnnotation);
  if (!protocol.empty()) {
    wish.protocol = model::ParseProtocol(protocol);
    if (!wish.protocol) {
      return absl::InvalidArgumentError(absl::StrCat(AnnotationField(model::kProtocolAnnotation), " ", Quote(protocol),
                                                     " is no protocol; write bgp, layer2 or vip, or remove it"));
    }
  }
  return wish;
}

std::vector<Family> FamiliesOf(const model::Service& service) {
  std::vector<Family> families;
  const auto add = [&families](Family f) {
    if (std::find(families.begin(), families.end(), f) == families.end()) families.push_back(f);
  };
  for (const Family family : service.ip_families) add(family);
  const bool written = !families.empty();
  if (!written) add(Family::kIpv4);
  switch (service.ip_family_policy) {
    case model::IpFamilyPolicy::kSingleStack:
      families.resize(1);
      break;
    case model::IpFamilyPolicy::kPreferDualStack:
      // A list of one comes from a cluster that has one family only.
      if (!written) add(Family::kIpv6);
      break;
    case model::IpFamilyPolicy::kRequireDualStack:
      add(Family::kIpv4);
      add(Family::kIpv6);
      break;
  }
  return families;
}

}  // namespace berth::plan
