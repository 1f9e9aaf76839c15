// SPDX-License-Identifier: Apache-2.0
// common/tls/credentials.h -- gRPC credentials from the TLS flags; certificates are read again when their files change.
//
//   ASSIGN_OR_RETURN(auto creds, ServerCredentials(flags, listen, ClientCertificates::kIfCaGiven));
//   grpc::ChannelArguments args;
//   ASSIGN_OR_RETURN(auto creds, ChannelCredentials(flags, targets, kControllerTlsName, args));
//
// Plaintext is given only where it was asked for (--insecure) or where nothing leaves this machine (loopback).
// New files are noticed within kTlsRefresh and used for new connections. Replace key and certificate together, by a
// symlink swap as Kubernetes does, so that they match.
//
// Errors: InvalidArgument   flags that contradict or lack each other; a file that is no PEM; a key that is not the
//                           certificate's (the message names flag and path)
//         NotFound, PermissionDenied   a file that cannot be read now (a caller may wait for it to be mounted)
#ifndef BERTH_COMMON_TLS_CREDENTIALS_H_
#define BERTH_COMMON_TLS_CREDENTIALS_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/host_port.h"

namespace berth {

// The name in every controller's certificate, whatever address is dialled.
inline constexpr char kControllerTlsName[] = "berth-controller";
inline constexpr absl::Duration kTlsRefresh = absl::Seconds(60);

// NOLINTBEGIN(readability-redundant-member-init): gcc wants them where only some fields are given
struct TlsFlags {
  std::string cert{};     // --tls-cert: PEM chain, own certificate first
  std::string key{};      // --tls-key: PEM
  std::string ca{};       // --tls-ca: PEM bundle that the other side's certificate must lead to
  bool insecure = false;  // --insecure: plaintext
};
// NOLINTEND(readability-redundant-member-init)

enum class ClientCertificates {
  kIfCaGiven,  // asked for, and required, when flags.ca is set
  kRequired,   // a TLS listener off loopback without flags.ca is an error (the admin port)
};

// For a listener on `listen`. With cert and key: TLS. Without: plaintext on loopback or with --insecure, else an error.
// `refresh` is whole seconds, at least 1.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const TlsFlags& flags,
                                                                           const HostPort& listen,
                                                                           ClientCertificates clients,
                                                                           absl::Duration refresh = kTlsRefresh);

// For channels to `targets`. With ca: TLS, the server must prove to be `tls_name` (set in `args`; give them to the
// channel); cert and key, if set, are shown to it. Without ca: plaintext to loopback targets or with --insecure, else
// an error.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(const TlsFlags& flags,
                                                                             const std::vector<HostPort>& targets,
                                                                             const std::string& tls_name,
                                                                             grpc::ChannelArguments& args,
                                                                             absl::Duration refresh = kTlsRefresh);

}  // namespace berth

#endif  // BERTH_COMMON_TLS_CREDENTIALS_H_
