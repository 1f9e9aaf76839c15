// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/certs/tls_material.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/tls/certificate.h"
#include "controller/kube/certs/x509.h"

namespace berth::kube {
namespace {

constexpr std::size_t kMaxAuthorities = 4;

bool IsDue(const Certificate& cert, absl::Time wall) { return wall >= cert.from + (cert.until - cert.from) * 2 / 3; }

// Why a certificate is of no use at all; empty when it is.
std::string WhyUseless(const absl::StatusOr<Certificate>& cert, const std::string& pem, const std::string& key,
                       absl::Time wall) {
  if (pem.empty()) return "there is none";
  if (!cert.ok()) return std::string(cert.status().message());
  if (wall >= cert->until) return absl::StrCat("expired at ", absl::FormatTime(cert->until, absl::UTCTimeZone()));
  if (wall < cert->from) {
    return absl::StrCat("is not valid before ", absl::FormatTime(cert->from, absl::UTCTimeZone()));
  }
  const absl::Status fits = CheckKeyPair(pem, key);
  return fits.ok() ? "" : absl::StrCat("its key ", fits.message());
}

std::string WhyUnfitToServe(const TlsMaterial& have, const std::vector<std::string>& authorities,
                            const TlsPolicy& policy, absl::Time wall) {
  const absl::StatusOr<Certificate> cert = ReadCertificate(have.cert);
  if (std::string why = WhyUseless(cert, have.cert, have.key, wall); !why.empty()) return why;
  for (const std::string& name : policy.names) {
    const auto& names = cert->dns_names;
    if (std::find(names.begin(), names.end(), name) == names.end()) return absl::StrCat("is not for ", name);
  }
  const bool trusted = std::any_of(authorities.begin(), authorities.end(),
                                   [&have](const std::string& each) { return IsSignedBy(have.cert, each); });
  return trusted ? "" : "is not signed by an authority that is trusted";
}

void Say(std::string& why, absl::string_view what, absl::string_view reason) {
  absl::StrAppend(&why, why.empty() ? "" : "; ", what, " ", reason);
}

constexpr char kTwoThirds[] = "has two thirds of its life behind it";

}  // namespace

std::vector<std::string> ControllerNames(const std::string& ns) {
  const std::string webhook = absl::StrCat("berth-webhook.", ns, ".svc");
  return {"berth-controller", webhook, absl::StrCat(webhook, ".cluster.local"), "localhost"};
}

absl::StatusOr<std::optional<Renewal>> Renew(const TlsMaterial& have, const TlsPolicy& policy, absl::Time wall) {
  Renewal out{have, ""};
  std::vector<std::string> authorities = SplitBundle(have.ca_bundle);
  const std::string first = authorities.empty() ? "" : authorities.front();
  absl::StatusOr<Certificate> authority = ReadCertificate(first);
  std::string why_not = WhyUseless(authority, first, have.ca_key, wall);
  if (why_not.empty() && !authority->authority) why_not = "is no authority";
  if (why_not.empty() && IsDue(*authority, wall)) why_not = kTwoThirds;
  if (!why_not.empty()) {
    Say(out.why, "authority:", why_not);
    ASSIGN_OR_RETURN(KeyPair made, MakeAuthority(wall - policy.backdate, wall + policy.ca_life));
    authority = ReadCertificate(made.cert);
    RETURN_IF_ERROR(authority.status());
    authorities.insert(authorities.begin(), std::move(made.cert));
    out.material.ca_key = std::move(made.key);
  }
  // Former ones stay for as long as anything may be signed by them.
  std::set<std::string> seen{authorities.front()};
  const auto useless = [wall, &seen](const std::string& pem) {
    const absl::StatusOr<Certificate> cert = ReadCertificate(pem);
    return !cert.ok() || !cert->authority || wall >= cert->until || !seen.insert(pem).second;
  };
  authorities.erase(std::remove_if(authorities.begin() + 1, authorities.end(), useless), authorities.end());
  if (authorities.size() > kMaxAuthorities) authorities.resize(kMaxAuthorities);
  out.material.ca_bundle = absl::StrJoin(authorities, "");
  if (out.why.empty() && out.material.ca_bundle != have.ca_bundle)
    Say(out.why, "authority:", "former ones have expired");

  const std::string unfit = WhyUnfitToServe(have, authorities, policy, wall);
  bool due = !unfit.empty();
  if (!due && wall >= authority->from + policy.backdate + policy.overlap) {
    const absl::StatusOr<Certificate> serving = ReadCertificate(have.cert);
    due = serving.ok() && IsDue(*serving, wall);
  }
  if (due) {
    Say(out.why, "serving certificate:", unfit.empty() ? kTwoThirds : unfit);
    ASSIGN_OR_RETURN(KeyPair made,
                     MakeServing({authorities.front(), out.material.ca_key}, policy.names, wall - policy.backdate,
                                 std::min(wall + policy.serving_life, authority->until)));
    out.material.cert = std::move(made.cert);
    out.material.key = std::move(made.key);
  }
  if (out.why.empty()) return std::optional<Renewal>();
  return std::optional<Renewal>(std::move(out));
}

}  // namespace berth::kube
