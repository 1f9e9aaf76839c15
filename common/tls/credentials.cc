// SPDX-License-Identifier: Apache-2.0
#include "common/tls/credentials.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/atomic_file.h"
#include "common/base/errno_status.h"
#include "common/base/status_macros.h"
#include "common/tls/certificate.h"

namespace berth {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

bool HasFiles(const TlsFlags& flags) { return !flags.cert.empty() || !flags.key.empty() || !flags.ca.empty(); }

std::string Place(absl::string_view flag, const std::string& path) { return absl::StrCat("--", flag, " ", path); }

absl::StatusOr<std::string> ReadPem(absl::string_view flag, const std::string& path) {
  absl::StatusOr<std::optional<std::string>> bytes = ReadFile(path);
  if (!bytes.ok()) return Annotate(bytes.status(), absl::StrCat("--", flag));
  if (!bytes->has_value()) return ErrnoStatus(ENOENT, Place(flag, path));
  return **std::move(bytes);
}

// What the flags say must hold together, and the files must be there and be of the right kind. gRPC itself would take
// anything, and every handshake would fail later.
absl::Status Check(const TlsFlags& flags) {
  if (flags.insecure && HasFiles(flags)) {
    return absl::InvalidArgumentError("--insecure and the --tls flags exclude each other, leave one of them out");
  }
  if (flags.cert.empty() != flags.key.empty()) {
    return absl::InvalidArgumentError(flags.cert.empty() ? "--tls-key needs --tls-cert" : "--tls-cert needs --tls-key");
  }
  if (!flags.cert.empty()) {
    ASSIGN_OR_RETURN(const std::string cert, ReadPem("tls-cert", flags.cert));
    RETURN_IF_ERROR(Annotate(CertificateExpiry(cert).status(), Place("tls-cert", flags.cert)));
    ASSIGN_OR_RETURN(const std::string key, ReadPem("tls-key", flags.key));
    RETURN_IF_ERROR(Annotate(CheckKeyPair(cert, key), Place("tls-key", flags.key)));
  }
  if (!flags.ca.empty()) {
    ASSIGN_OR_RETURN(const std::string ca, ReadPem("tls-ca", flags.ca));
    RETURN_IF_ERROR(Annotate(CertificateExpiry(ca).status(), Place("tls-ca", flags.ca)));
  }
  return absl::OkStatus();
}

std::shared_ptr<FileWatcherCertificateProvider> Watcher(const TlsFlags& flags, absl::Duration refresh) {
  const auto seconds = static_cast<unsigned int>(std::max<std::int64_t>(1, absl::ToInt64Seconds(refresh)));
  return std::make_shared<FileWatcherCertificateProvider>(flags.key, flags.cert, flags.ca, seconds);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const TlsFlags& flags,
                                                                           const HostPort& listen,
                                                                           ClientCertificates clients,
                                                                           absl::Duration refresh) {
  const std::string context = absl::StrCat("listener ", listen.ToString());
  RETURN_IF_ERROR(Annotate(Check(flags), context));
  const bool local = IsLoopback(listen.host);
  if (flags.cert.empty()) {
    if (!flags.ca.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(context, ": --tls-ca needs --tls-cert and --tls-key"));
    }
    if (!flags.insecure && !local) {
      return absl::InvalidArgumentError(
          absl::StrCat(context, ": is not on loopback, so it needs --tls-cert and --tls-key, or --insecure for a lab"));
    }
    return grpc::InsecureServerCredentials();
  }
  if (clients == ClientCertificates::kRequired && flags.ca.empty() && !local) {
    return absl::InvalidArgumentError(absl::StrCat(
        context, ": is not on loopback, so clients must show a certificate: give --tls-ca, or listen on 127.0.0.1"));
  }
  grpc::experimental::TlsServerCredentialsOptions options(Watcher(flags, refresh));
  options.watch_identity_key_cert_pairs();
  if (flags.ca.empty()) {
    options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  } else {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentials(const TlsFlags& flags,
                                                                             const std::vector<HostPort>& targets,
                                                                             const std::string& tls_name,
                                                                             grpc::ChannelArguments& args,
                                                                             absl::Duration refresh) {
  RETURN_IF_ERROR(Check(flags));
  if (flags.ca.empty()) {
    if (!flags.cert.empty()) return absl::InvalidArgumentError("--tls-cert needs --tls-ca, to know the server by");
    for (const HostPort& target : targets) {
      if (!flags.insecure && !IsLoopback(target.host)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "server ", target.ToString(), ": is not on loopback, so it needs --tls-ca, or --insecure for a lab"));
      }
    }
    return grpc::InsecureChannelCredentials();
  }
  args.SetSslTargetNameOverride(tls_name);
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(Watcher(flags, refresh));
  options.watch_root_certs();
  if (!flags.cert.empty()) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace berth
