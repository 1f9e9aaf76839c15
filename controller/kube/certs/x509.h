// SPDX-License-Identifier: Apache-2.0
// controller/kube/certs/x509.h -- certificates made and looked at: EC P-256, SHA-256, PEM. No clock and no I/O; the
// only thing that comes from outside is what makes keys and serial numbers random.
//
// Errors: InvalidArgument for text that is no certificate or key, Internal where OpenSSL fails. No message contains key
// material.
#ifndef BERTH_CONTROLLER_KUBE_CERTS_X509_H_
#define BERTH_CONTROLLER_KUBE_CERTS_X509_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::kube {

struct KeyPair {
  std::string cert, key;  // PEM
};

// A certificate authority that may sign servers' certificates and no further authorities. Times are whole seconds.
absl::StatusOr<KeyPair> MakeAuthority(absl::Time from, absl::Time until);

// For a server of these DNS names, signed by `authority`.
absl::StatusOr<KeyPair> MakeServing(const KeyPair& authority, const std::vector<std::string>& dns_names,
                                    absl::Time from, absl::Time until);

struct Certificate {
  absl::Time from, until;
  bool authority = false;
  std::vector<std::string> dns_names;
  bool ValidAt(absl::Time time) const { return from <= time && time < until; }
};
absl::StatusOr<Certificate> ReadCertificate(absl::string_view pem);  // the first in it

// Each certificate of a bundle as PEM of its own, in order. What stands between and around them is left out; ends where
// one cannot be read.
std::vector<std::string> SplitBundle(absl::string_view bundle);

// Whether `authority` has signed `cert`. Says nothing about times.
bool IsSignedBy(absl::string_view cert, absl::string_view authority);

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CERTS_X509_H_
