// SPDX-License-Identifier: Apache-2.0
// controller/kube/certs/tls_material.h -- what Secret berth-tls holds, and when it must hold something else. Pure but
// for the keys it makes.
#ifndef BERTH_CONTROLLER_KUBE_CERTS_TLS_MATERIAL_H_
#define BERTH_CONTROLLER_KUBE_CERTS_TLS_MATERIAL_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace berth::kube {

struct TlsMaterial {
  std::string ca_bundle;  // ca.crt: the authority in force, then former ones that are still to be trusted
  std::string ca_key;     // ca.key: of the first
  std::string cert, key;  // tls.crt, tls.key
  friend bool operator==(const TlsMaterial&, const TlsMaterial&) = default;
};

struct TlsPolicy {
  std::vector<std::string> names;  // that the serving certificate must have
  absl::Duration ca_life = absl::Hours(24 * 3650);
  absl::Duration serving_life = absl::Hours(24 * 90);
  absl::Duration backdate = absl::Hours(1);  // for clocks that are slow
  // A new authority signs nothing so long, if that can wait: everybody must have learned to trust it first.
  absl::Duration overlap = absl::Hours(24);
};

// "berth-controller" (what agents expect), the names of Service berth-webhook in `ns`, and "localhost".
std::vector<std::string> ControllerNames(const std::string& ns);

struct Renewal {
  TlsMaterial material;
  std::string why;  // for people
};
// What to put in place of `have`; nullopt when it is as it should be. An authority is replaced, and a serving
// certificate renewed, when two thirds of its life are over, or at once when it is of no use: expired, not yet valid,
// unreadable, not with its key, without one of the names, not signed by an authority that is trusted. `wall` is wall
// time. Errors: Internal where OpenSSL fails.
absl::StatusOr<std::optional<Renewal>> Renew(const TlsMaterial& have, const TlsPolicy& policy, absl::Time wall);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CERTS_TLS_MATERIAL_H_
