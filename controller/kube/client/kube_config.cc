// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/kube_config.h"

#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/files/manifest/fields.h"
#include "controller/files/manifest/read_text.h"

namespace berth::kube {
namespace {

using files::Field;
using files::FieldReader;

// Reads one file; what is wrong with it is in its reader.
class Parser {
 public:
  Parser(absl::string_view file, const std::string& folder, const files::Value& root)
      : file_(file), folder_(folder), read_(file, ""), root_(root) {}

  absl::StatusOr<KubeConfig> Parse(absl::string_view context);

 private:
  absl::Status Cluster(const std::string& name, KubeConfig& into);
  absl::Status User(const std::string& name, KubeConfig& into);
  // Calls `use` with the member `kind` of the element of `list` that has that name.
  absl::Status Named(const char* list, const char* kind, const std::string& name,
                     const std::function<absl::Status(const Field&)>& use);
  std::string Text(const Field& parent, absl::string_view key) {
    return std::string(read_.String(parent, key).value_or(""));
  }
  // `key` has a path; `key`-data has the thing itself, in base64, and wins.
  TextOrFile Pem(const Field& parent, const char* key);
  std::string Resolve(const std::string& path) const {
    return path.empty() || path[0] == '/' ? path : absl::StrCat(folder_, "/", path);
  }

  const absl::string_view file_;
  const std::string& folder_;
  FieldReader read_;
  Field root_;
};

absl::StatusOr<KubeConfig> Parser::Parse(absl::string_view context) {
  KubeConfig config;
  std::string name(context);
  if (name.empty()) name = Text(root_, "current-context");
  if (name.empty()) read_.Problem(root_, "has no current-context, so a context must be asked for");
  std::string cluster, user;
  if (read_.ok()) {
    RETURN_IF_ERROR(Named("contexts", "context", name, [&](const Field& found) {
      cluster = Text(found, "cluster");
      user = Text(found, "user");
      if (const std::string ns = Text(found, "namespace"); !ns.empty()) config.ns = ns;
      if (cluster.empty()) read_.Problem(found, "cluster: must be given");
      return absl::OkStatus();
    }));
  }
  if (read_.ok()) RETURN_IF_ERROR(Cluster(cluster, config));
  if (read_.ok() && !user.empty()) RETURN_IF_ERROR(User(user, config));
  if (!read_.ok()) return absl::InvalidArgumentError(absl::StrJoin(read_.problems(), "; "));
  return config;
}

absl::Status Parser::Named(const char* list, const char* kind, const std::string& name,
                           const std::function<absl::Status(const Field&)>& use) {
  std::vector<std::string> others;
  const Field all = read_.List(root_, list);
  for (const Field& element : read_.Elements(all)) {
    const std::string found = Text(element, "name");
    if (found == name) return use(read_.Map(element, kind));
    others.push_back(Quote(found));
  }
  if (!read_.ok()) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat(file_, ": no ", kind, " ", Quote(name), " in it",
                   others.empty() ? std::string() : absl::StrCat("; there are ", absl::StrJoin(others, ", "))));
}

absl::Status Parser::Cluster(const std::string& name, KubeConfig& into) {
  return Named("clusters", "cluster", name, [&](const Field& found) {
    into.server = Text(found, "server");
    while (absl::EndsWith(into.server, "/")) into.server.pop_back();
    if (!absl::StartsWith(into.server, "https://") && !absl::StartsWith(into.server, "http://")) {
      read_.Problem(found, absl::StrCat("server: must be a URL with https://, not ", Quote(into.server)));
    }
    into.ca = Pem(found, "certificate-authority");
    into.insecure = read_.Bool(found, "insecure-skip-tls-verify").value_or(false);
    into.tls_server_name = Text(found, "tls-server-name");
    if (into.insecure && into.ca.given()) {
      read_.Problem(found, "insecure-skip-tls-verify: must not be given together with a certificate-authority");
    }
    if (read_.Get(found, "proxy-url").present()) {
      return absl::UnimplementedError(absl::StrCat(file_, ": cluster ", Quote(name), " is behind a proxy-url"));
    }
    return absl::OkStatus();
  });
}

absl::Status Parser::User(const std::string& name, KubeConfig& into) {
  return Named("users", "user", name, [&](const Field& found) {
    const std::pair<const char*, const char*> refused[] = {
        {"exec", "gets its credentials from a program (exec)"},
        {"auth-provider", "gets its credentials from an auth-provider"},
        {"username", "has a password"},
        {"as", "acts as somebody else (as)"},
    };
    for (const auto& [key, what] : refused) {
      if (!read_.Get(found, key).present()) continue;
      return absl::UnimplementedError(absl::StrCat(file_, ": user ", Quote(name), " ", what,
                                                   ", which is not supported; use a token, a tokenFile or a client "
                                                   "certificate"));
    }
    into.certificate = Pem(found, "client-certificate");
    into.key = Pem(found, "client-key");
    if (into.certificate.given() != into.key.given()) {
      read_.Problem(found, "client-certificate and client-key: one is given without the other");
    }
    // As kubectl has it: a file that can change is better than what is written here.
    into.token.file = Resolve(Text(found, "tokenFile"));
    if (into.token.file.empty()) into.token.text = Text(found, "token");
    return absl::OkStatus();
  });
}

TextOrFile Parser::Pem(const Field& parent, const char* key) {
  TextOrFile out;
  const std::string data = absl::StrCat(key, "-data");
  std::string encoded = Text(parent, data);
  absl::RemoveExtraAsciiWhitespace(&encoded);
  if (encoded.empty()) {
    out.file = Resolve(Text(parent, key));
  } else if (!absl::Base64Unescape(encoded, &out.text)) {
    read_.Problem(parent, absl::StrCat(data, ": is not base64"));
  }
  return out;
}

}  // namespace

absl::StatusOr<KubeConfig> InClusterConfig(absl::string_view host, absl::string_view port, const std::string& folder) {
  if (host.empty() || port.empty()) {
    return absl::FailedPreconditionError(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: outside of a pod, give --kubeconfig");
  }
  KubeConfig config;
  const bool v6 = absl::StrContains(host, ":") && !absl::StartsWith(host, "[");
  config.server = v6 ? absl::StrCat("https://[", host, "]:", port) : absl::StrCat("https://", host, ":", port);
  config.ca.file = absl::StrCat(folder, "/ca.crt");
  config.token.file = absl::StrCat(folder, "/token");
  config.ns_file = absl::StrCat(folder, "/namespace");
  return config;
}

std::optional<Family> FirstFamily(absl::string_view host) {
  const absl::StatusOr<IpAddr> address = IpAddr::Parse(host);
  if (!address.ok()) return std::nullopt;
  return address->family();
}

absl::StatusOr<KubeConfig> ParseKubeconfig(absl::string_view text, const std::string& folder, absl::string_view file,
                                           absl::string_view context) {
  // JSON is YAML, too.
  const absl::StatusOr<files::Documents> documents = files::ReadYaml(text);
  if (!documents.ok()) return Annotate(documents.status(), file);
  if (documents->roots.size() != 1 || documents->roots[0].kind != files::Value::Kind::kMap) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": must be one map, with clusters, users and contexts"));
  }
  return Parser(file, folder, documents->roots[0]).Parse(context);
}

}  // namespace berth::kube
