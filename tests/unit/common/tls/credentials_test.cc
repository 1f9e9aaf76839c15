// SPDX-License-Identifier: Apache-2.0
#include "common/tls/credentials.h"

#include <grpc/support/log.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/base/atomic_file.h"
#include "common/obs/log.h"
#include "common/tls/grpc_log.h"
#include "tests/unit/common/tls/test_certificates.h"

namespace berth {
namespace {

using Catch::Contains;

const HostPort kLocal{"127.0.0.1", 0};
const HostPort kAll{"", 7443};

absl::Status Server(const TlsFlags& flags, const HostPort& listen,
                    ClientCertificates clients = ClientCertificates::kIfCaGiven) {
  return ServerCredentials(flags, listen, clients).status();
}
absl::Status Client(const TlsFlags& flags, const std::vector<HostPort>& targets) {
  grpc::ChannelArguments args;
  return ChannelCredentials(flags, targets, kControllerTlsName, args).status();
}
std::string Words(const absl::Status& status) { return std::string(status.message()); }

TEST_CASE("plaintext needs loopback or --insecure, on both sides", "[unit]") {
  CHECK(Server({}, kLocal).ok());
  CHECK(Server({.insecure = true}, kAll).ok());
  const absl::Status server = Server({}, kAll);
  CHECK(absl::IsInvalidArgument(server));
  CHECK_THAT(Words(server), Contains(":7443") && Contains("--tls-cert") && Contains("--insecure"));

  CHECK(Client({}, {{"localhost", 7443}, {"::1", 7443}}).ok());
  CHECK(Client({.insecure = true}, {{"10.0.0.1", 7443}}).ok());
  const absl::Status client = Client({}, {{"localhost", 7443}, {"10.0.0.1", 7443}});
  CHECK(absl::IsInvalidArgument(client));
  CHECK_THAT(Words(client), Contains("10.0.0.1:7443") && Contains("--tls-ca") && Contains("--insecure"));
}

TEST_CASE("flags that contradict or lack each other are refused", "[unit]") {
  CHECK_THAT(Words(Server({.ca = "ca", .insecure = true}, kLocal)), Contains("--insecure"));
  CHECK_THAT(Words(Server({.cert = "c"}, kLocal)), Contains("--tls-cert needs --tls-key"));
  CHECK_THAT(Words(Client({.key = "k"}, {kLocal})), Contains("--tls-key needs --tls-cert"));
}

TEST_CASE("files are looked at before gRPC gets them", "[unit]") {
  const TempFolder folder;
  const TestCertificates certificates(folder);
  certificates.MakeCa("ca");
  certificates.MakeLeaf("leaf", "ca", kControllerTlsName);
  const std::string ca = certificates.Cert("ca");
  const std::string cert = certificates.Cert("leaf");
  const std::string key = certificates.Key("leaf");

  CHECK(Server({.cert = cert, .key = key}, kAll).ok());
  CHECK(Client({.cert = cert, .key = key, .ca = ca}, {kAll}).ok());
  CHECK_THAT(Words(Server({.ca = ca}, kLocal)), Contains("--tls-ca needs --tls-cert"));
  CHECK_THAT(Words(Client({.cert = cert, .key = key}, {kLocal})), Contains("--tls-cert needs --tls-ca"));

  const absl::Status absent = Server({.cert = folder / "none", .key = key}, kAll);
  CHECK(absl::IsNotFound(absent));
  CHECK_THAT(Words(absent), Contains("--tls-cert " + (folder / "none")) && Contains("No such file"));
  CHECK_THAT(Words(Client({.ca = key}, {kAll})), Contains("--tls-ca " + key) && Contains("no PEM certificate"));
  CHECK_THAT(Words(Server({.cert = cert, .key = certificates.Key("ca")}, kAll)),
             Contains("--tls-key " + certificates.Key("ca")) && Contains("another certificate"));
}

TEST_CASE("a port that demands client certificates refuses to go without a CA off loopback", "[unit]") {
  const TempFolder folder;
  const TestCertificates certificates(folder);
  certificates.MakeCa("ca");
  const TlsFlags no_ca{.cert = certificates.Cert("ca"), .key = certificates.Key("ca")};
  TlsFlags with_ca = no_ca;
  with_ca.ca = certificates.Cert("ca");
  const absl::Status refused = Server(no_ca, kAll, ClientCertificates::kRequired);
  CHECK(absl::IsInvalidArgument(refused));
  CHECK_THAT(Words(refused), Contains(":7443") && Contains("--tls-ca"));
  CHECK(Server(no_ca, kLocal, ClientCertificates::kRequired).ok());
  CHECK(Server(with_ca, kAll, ClientCertificates::kRequired).ok());
  CHECK(Server({.insecure = true}, kAll, ClientCertificates::kRequired).ok());
}

TEST_CASE("gRPC's errors are warnings in our log, at most one a minute from one place", "[unit]") {
  std::vector<std::string> lines;
  LogToForTest([&](absl::string_view line) { lines.emplace_back(line); });
  RouteGrpcLog();
  for (int i = 0; i < 100; ++i) gpr_log("/src/core/some_file.cc", 12, GPR_LOG_SEVERITY_ERROR, "peer %d gone", i);
  gpr_log("/src/core/some_file.cc", 13, GPR_LOG_SEVERITY_ERROR, "other");
  gpr_log("/src/core/some_file.cc", 14, GPR_LOG_SEVERITY_INFO, "chatter");
  LogToForTest(nullptr);
  REQUIRE(lines.size() == 2);
  CHECK_THAT(lines[0], Contains(" warn grpc says text=\"peer 0 gone\" file=some_file.cc line=12 held_back=0"));
  CHECK_THAT(lines[1], Contains("text=other file=some_file.cc line=13"));
}

}  // namespace
}  // namespace berth
