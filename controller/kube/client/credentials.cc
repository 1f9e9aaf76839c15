// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/credentials.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/atomic_file.h"
#include "common/base/status_macros.h"

namespace berth::kube {
namespace {

absl::StatusOr<std::string> Whole(const std::string& path) {
  ASSIGN_OR_RETURN(std::optional<std::string> text, ReadFile(path));
  if (!text) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  absl::StripAsciiWhitespace(&*text);
  if (text->empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": has nothing in it"));
  return *std::move(text);
}

absl::StatusOr<std::string> Get(const TextOrFile& from) {
  if (from.text.empty() && !from.file.empty()) return Whole(from.file);
  return from.text;
}

absl::StatusOr<std::string> GetPem(const TextOrFile& from, const char* what) {
  ASSIGN_OR_RETURN(std::string pem, Get(from));
  if (pem.empty() || absl::StrContains(pem, "-----BEGIN ")) return pem;
  return absl::InvalidArgumentError(absl::StrCat(from.text.empty() ? from.file : what, ": is not PEM"));
}

const char* Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

}  // namespace

std::optional<Family> FirstFamilyOfPod() { return FirstFamily(Environment("KUBERNETES_SERVICE_HOST")); }

absl::StatusOr<KubeConfig> FindKubeConfig(const std::string& path, const std::string& context,
                                          const std::string& pod_folder) {
  if (path.empty()) {
    return InClusterConfig(Environment("KUBERNETES_SERVICE_HOST"), Environment("KUBERNETES_SERVICE_PORT"), pod_folder);
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> text, ReadFile(path));
  if (!text) return absl::NotFoundError(absl::StrCat("kubeconfig ", path, ": no such file"));
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  return ParseKubeconfig(*text, folder, path, context);
}

absl::StatusOr<Credentials> Credentials::Read(KubeConfig config, absl::Time now) {
  Credentials credentials(std::move(config));
  RETURN_IF_ERROR(credentials.ReadAll());
  credentials.read_at_ = now;
  credentials.expires_ = now + kMaxAge;
  return credentials;
}

absl::Status Credentials::ReadAll() {
  Secrets fresh;
  ASSIGN_OR_RETURN(fresh.token, Get(config_.token));
  absl::StripAsciiWhitespace(&fresh.token);
  if (!std::all_of(fresh.token.begin(), fresh.token.end(), absl::ascii_isgraph)) {  // it goes into a header
    return absl::InvalidArgumentError(
        absl::StrCat(config_.token.text.empty() ? config_.token.file : "token", ": has characters no token has"));
  }
  ASSIGN_OR_RETURN(fresh.ca, GetPem(config_.ca, "certificate-authority-data"));
  ASSIGN_OR_RETURN(fresh.certificate, GetPem(config_.certificate, "client-certificate-data"));
  ASSIGN_OR_RETURN(fresh.key, GetPem(config_.key, "client-key-data"));
  secrets_ = std::move(fresh);
  return absl::OkStatus();
}

const Credentials::Secrets& Credentials::At(absl::Time now) {
  if (now >= expires_) {
    problem_ = ReadAll();
    read_at_ = now;
    expires_ = now + kMaxAge;
  }
  return secrets_;
}

void Credentials::Refused(absl::Time now) { expires_ = std::min(expires_, std::max(now, read_at_ + absl::Seconds(1))); }

absl::StatusOr<std::string> ReadNamespace(const KubeConfig& config) {
  if (config.ns_file.empty()) return config.ns;
  return Whole(config.ns_file);
}

}  // namespace berth::kube
