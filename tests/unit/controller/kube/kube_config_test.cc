// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/kube_config.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "absl/strings/match.h"
#include "common/base/atomic_file.h"
#include "controller/kube/client/credentials.h"

namespace berth::kube {
namespace {

constexpr char kTwo[] = R"(
apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster: {server: "https://10.0.0.1:6443/", certificate-authority: pki/ca.crt}
- name: prod
  cluster:
    server: https://k8s.example.net/k8s/clusters/c-1
    certificate-authority-data: LS0tLS1CRUdJTiBY
    tls-server-name: kubernetes.default
users:
- name: admin
  user: {client-certificate: pki/admin.crt, client-key: /etc/admin.key}
- name: robot
  user: {token: abc, tokenFile: run/token}
- name: plugin
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}
contexts:
- name: lab
  context: {cluster: lab, user: admin}
- name: prod
  context: {cluster: prod, user: robot, namespace: berth}
- name: cloud
  context: {cluster: prod, user: plugin}
- name: adrift
  context: {cluster: gone, user: admin}
)";

absl::StatusOr<KubeConfig> Parse(absl::string_view text, absl::string_view context = "") {
  return ParseKubeconfig(text, "/home/me/.kube", "config", context);
}

absl::Status Fails(absl::string_view text, absl::string_view context = "") { return Parse(text, context).status(); }

TEST_CASE("a kubeconfig's current context says server, authority and user, with paths beside the file", "[unit]") {
  const auto config = Parse(kTwo);
  REQUIRE(config.ok());
  CHECK(config->server == "https://10.0.0.1:6443");
  CHECK(config->ca.file == "/home/me/.kube/pki/ca.crt");
  CHECK(config->certificate.file == "/home/me/.kube/pki/admin.crt");
  CHECK(config->key.file == "/etc/admin.key");
  CHECK_FALSE(config->token.given());
  CHECK(config->ns == "default");
  CHECK_FALSE(config->insecure);
}

TEST_CASE("a context asked for wins; data in place wins over paths, a token file over a token", "[unit]") {
  const auto config = Parse(kTwo, "prod");
  REQUIRE(config.ok());
  CHECK(config->server == "https://k8s.example.net/k8s/clusters/c-1");
  CHECK(config->ca.text == "-----BEGIN X");
  CHECK(config->tls_server_name == "kubernetes.default");
  CHECK(config->token.file == "/home/me/.kube/run/token");
  CHECK(config->token.text.empty());
  CHECK(config->ns == "berth");
}

TEST_CASE("a kubeconfig may be JSON", "[unit]") {
  const auto config = Parse(R"({"current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],
    "clusters":[{"name":"k","cluster":{"server":"https://[2001:db8::1]:6443","insecure-skip-tls-verify":true}}],
    "users":[{"name":"u","user":{"token":"t"}}]})");
  REQUIRE(config.ok());
  CHECK(config->server == "https://[2001:db8::1]:6443");
  CHECK(config->insecure);
  CHECK(config->token.text == "t");
}

TEST_CASE("what cannot be used says so, with the names there are", "[unit]") {
  CHECK(Fails(kTwo, "test") ==
        absl::NotFoundError(R"(config: no context "test" in it; there are "lab", "prod", "cloud", "adrift")"));
  CHECK(Fails(kTwo, "adrift") == absl::NotFoundError(R"(config: no cluster "gone" in it; there are "lab", "prod")"));
  CHECK(Fails(kTwo, "cloud").code() == absl::StatusCode::kUnimplemented);
  CHECK(absl::StrContains(Fails(kTwo, "cloud").message(), "user \"plugin\" gets its credentials from a program"));
  CHECK(Fails("a: [").code() == absl::StatusCode::kInvalidArgument);
  CHECK(absl::StrContains(Fails("kind: Config\n").message(), "no current-context"));
}

struct Case {
  const char* cluster;
  const char* user;
  const char* words;
};

TEST_CASE("bad fields of a kubeconfig are named with their line", "[unit]") {
  const Case c = GENERATE(
      Case{"{server: 10.0.0.1}", "{}", "server: must be a URL with https://, not \"10.0.0.1\""},
      Case{"{server: 7}", "{}", "server"},
      Case{"{server: https://a, insecure-skip-tls-verify: true, certificate-authority: x}", "{}",
           "not be given together"},
      Case{"{server: https://a, certificate-authority-data: '%%'}", "{}", "certificate-authority-data: is not base64"},
      Case{"{server: https://a, insecure-skip-tls-verify: maybe}", "{}", "insecure-skip-tls-verify"},
      Case{"{server: https://a}", "{client-key: k}", "client-certificate and client-key: one is given without"});
  CAPTURE(c.cluster, c.user);
  const std::string text = absl::StrCat(
      "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: ",
      c.cluster, "}]\nusers: [{name: u, user: ", c.user, "}]\n");
  const absl::Status status = Fails(text);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(absl::StrContains(status.message(), c.words));
  CHECK(absl::StartsWith(status.message(), c.user[1] == '}' ? "config:3: " : "config:4: "));
}

TEST_CASE("a pod finds its server in the environment, and says what is missing outside of one", "[unit]") {
  const auto config = InClusterConfig("fd00::1", "443", "/sa");
  REQUIRE(config.ok());
  CHECK(config->server == "https://[fd00::1]:443");
  CHECK(config->ca.file == "/sa/ca.crt");
  CHECK(config->token.file == "/sa/token");
  CHECK(config->ns_file == "/sa/namespace");
  CHECK(InClusterConfig("10.96.0.1", "443")->server == "https://10.96.0.1:443");
  CHECK(InClusterConfig("", "443").status().code() == absl::StatusCode::kFailedPrecondition);
}

TEST_CASE("a pod knows the cluster's first family by the address of the API server's Service", "[unit]") {
  CHECK(FirstFamily("10.96.0.1") == Family::kIpv4);
  CHECK(FirstFamily("fd00::1") == Family::kIpv6);
  CHECK_FALSE(FirstFamily("").has_value());
  CHECK_FALSE(FirstFamily("api.example.com").has_value());  // as some clusters overwrite it
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/berth-credentials-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void Write(const std::string& name, absl::string_view text) const {
    REQUIRE(WriteFileAtomically(path + "/" + name, text).ok());
  }
  std::string path;
};

TEST_CASE("a token that rotates is read again after ten seconds, and at once when it was refused", "[unit]") {
  const Folder folder;
  folder.Write("token", "one\n");
  folder.Write("ca.crt", "-----BEGIN CERTIFICATE-----\n");
  folder.Write("namespace", "berth-system");
  const auto config = InClusterConfig("10.96.0.1", "443", folder.path);
  REQUIRE(config.ok());
  CHECK(ReadNamespace(*config).value() == "berth-system");
  const absl::Time start = absl::UnixEpoch();
  auto credentials = Credentials::Read(*config, start);
  REQUIRE(credentials.ok());
  CHECK(credentials->At(start).token == "one");
  folder.Write("token", "two");
  CHECK(credentials->At(start + absl::Seconds(9)).token == "one");
  CHECK(credentials->At(start + absl::Seconds(10)).token == "two");
  folder.Write("token", "three");
  credentials->Refused(start + absl::Seconds(12));
  CHECK(credentials->At(start + absl::Seconds(12)).token == "three");
  // A token that stays bad is not read for each request.
  folder.Write("token", "four");
  credentials->Refused(start + absl::Seconds(12.5));
  CHECK(credentials->At(start + absl::Seconds(12.5)).token == "three");
  CHECK(credentials->At(start + absl::Seconds(13)).token == "four");
}

TEST_CASE("credentials that vanish stay as they were, and the reason is known", "[unit]") {
  const Folder folder;
  folder.Write("token", "one");
  folder.Write("ca.crt", "-----BEGIN CERTIFICATE-----\n");
  auto credentials = Credentials::Read(*InClusterConfig("h", "1", folder.path), absl::UnixEpoch());
  REQUIRE(credentials.ok());
  std::filesystem::remove(folder.path + "/token");
  CHECK(credentials->At(absl::UnixEpoch() + absl::Seconds(11)).token == "one");
  CHECK(credentials->problem().code() == absl::StatusCode::kNotFound);
  folder.Write("token", "two");
  CHECK(credentials->At(absl::UnixEpoch() + absl::Seconds(22)).token == "two");
  CHECK(credentials->problem().ok());
}

TEST_CASE("credentials that are not there at the start are an error that names the file", "[unit]") {
  const Folder folder;
  folder.Write("ca.crt", "no certificate");
  const KubeConfig config = *InClusterConfig("h", "1", folder.path);
  const absl::Status missing = Credentials::Read(config, absl::UnixEpoch()).status();
  CHECK(missing == absl::NotFoundError(folder.path + "/token: no such file"));
  folder.Write("token", "t");
  const absl::Status bad = Credentials::Read(config, absl::UnixEpoch()).status();
  CHECK(bad == absl::InvalidArgumentError(folder.path + "/ca.crt: is not PEM"));
}

TEST_CASE("a kubeconfig is found by its path", "[unit]") {
  const Folder folder;
  folder.Write("config", kTwo);
  const auto config = FindKubeConfig(folder.path + "/config", "lab");
  REQUIRE(config.ok());
  CHECK(config->ca.file == folder.path + "/pki/ca.crt");
  CHECK(FindKubeConfig(folder.path + "/none").status().code() == absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace berth::kube
