// SPDX-License-Identifier: Apache-2.0
// common/tls/certificate.h -- looks into PEM texts, so that a wrong file is an error at start and not a failed
// handshake.
#ifndef BERTH_COMMON_TLS_CERTIFICATE_H_
#define BERTH_COMMON_TLS_CERTIFICATE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth {

// When the first certificate in the PEM text `pem` ends to be valid. Errors: InvalidArgument when it holds none.
absl::StatusOr<absl::Time> CertificateExpiry(absl::string_view pem);

// Errors: InvalidArgument when `key_pem` is no private key without passphrase, or not that of the first certificate in
// `cert_pem`. No message contains key material.
absl::Status CheckKeyPair(absl::string_view cert_pem, absl::string_view key_pem);

}  // namespace berth

#endif  // BERTH_COMMON_TLS_CERTIFICATE_H_
