// SPDX-License-Identifier: Apache-2.0
// What the credentials do on the wire: a real gRPC server and real channels on loopback.
#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "common/tls/credentials.h"
#include "tests/unit/common/tls/test_certificates.h"

namespace berth {
namespace {

std::chrono::system_clock::time_point Limit() { return std::chrono::system_clock::now() + std::chrono::seconds(20); }

struct TlsServer {
  explicit TlsServer(const TlsFlags& flags, absl::Duration refresh = kTlsRefresh) {
    auto credentials = ServerCredentials(flags, HostPort{"127.0.0.1", 0}, ClientCertificates::kIfCaGiven, refresh);
    REQUIRE(credentials.ok());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", *credentials, &port);
    builder.RegisterCallbackGenericService(&nothing);
    server = builder.BuildAndStart();
    REQUIRE(server != nullptr);
    REQUIRE(port > 0);
  }
  ~TlsServer() { server->Shutdown(std::chrono::system_clock::now()); }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  int port = 0;
  grpc::CallbackGenericService nothing;  // gRPC starts no server without a service
  std::unique_ptr<grpc::Server> server;
};

// Whether one attempt to connect ends with a working connection: READY comes with the server's HTTP/2 settings, so
// after it has accepted our certificate too.
bool Connects(const TlsServer& server, const TlsFlags& flags) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const HostPort target{"127.0.0.1", static_cast<std::uint16_t>(server.port)};
  const auto credentials = ChannelCredentials(flags, {target}, kControllerTlsName, args);
  REQUIRE(credentials.ok());
  const auto channel = grpc::CreateCustomChannel(target.ToString(), *credentials, args);
  grpc_connectivity_state state = channel->GetState(true);
  while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE) {
    REQUIRE(channel->WaitForStateChange(state, Limit()));
    state = channel->GetState(true);
  }
  return state == GRPC_CHANNEL_READY;
}

struct Files {
  Files() : certificates(folder) {
    certificates.MakeCa("ca");
    certificates.MakeCa("stranger");
  }
  TlsFlags Flags(const std::string& leaf, const std::string& ca) const {
    TlsFlags flags;
    if (!leaf.empty()) flags.cert = certificates.Cert(leaf);
    if (!leaf.empty()) flags.key = certificates.Key(leaf);
    if (!ca.empty()) flags.ca = certificates.Cert(ca);
    return flags;
  }
  TempFolder folder;
  TestCertificates certificates;
};

TEST_CASE("a server of our CA and name is believed, whatever address is dialled; no other one is", "[unit]") {
  const Files files;
  files.certificates.MakeLeaf("server", "ca", kControllerTlsName);
  files.certificates.MakeLeaf("misnamed", "ca", "someone-else");
  const TlsServer server(files.Flags("server", ""));
  CHECK(Connects(server, files.Flags("", "ca")));
  CHECK_FALSE(Connects(server, files.Flags("", "stranger")));
  CHECK_FALSE(Connects(server, TlsFlags()));  // plaintext
  CHECK_FALSE(Connects(TlsServer(files.Flags("misnamed", "")), files.Flags("", "ca")));
}

TEST_CASE("with --tls-ca a server takes only clients with a certificate of that CA", "[unit]") {
  const Files files;
  files.certificates.MakeLeaf("server", "ca", kControllerTlsName);
  files.certificates.MakeLeaf("node", "ca", "node-1");
  files.certificates.MakeLeaf("foreign", "stranger", "node-1");
  const TlsServer server(files.Flags("server", "ca"));
  CHECK(Connects(server, files.Flags("node", "ca")));
  CHECK_FALSE(Connects(server, files.Flags("", "ca")));
  CHECK_FALSE(Connects(server, files.Flags("foreign", "ca")));
}

TEST_CASE("a certificate swapped on disk is served to new connections without a restart", "[unit]") {
  const Files files;
  files.certificates.MakeLeaf("old", "ca", kControllerTlsName);
  files.certificates.MakeLeaf("new", "stranger", kControllerTlsName);
  const TlsFlags mounted{.cert = files.folder / "live/tls.crt", .key = files.folder / "live/tls.key"};
  for (const std::string name : {"old", "new"}) {
    std::filesystem::create_directory(files.folder / (name + ".d"));
    std::filesystem::rename(files.certificates.Cert(name), files.folder / (name + ".d/tls.crt"));
    std::filesystem::rename(files.certificates.Key(name), files.folder / (name + ".d/tls.key"));
  }
  std::filesystem::create_directory_symlink(files.folder / "old.d", files.folder / "live");
  const TlsServer server(mounted, absl::Seconds(1));
  REQUIRE(Connects(server, files.Flags("", "ca")));
  REQUIRE_FALSE(Connects(server, files.Flags("", "stranger")));

  std::filesystem::create_directory_symlink(files.folder / "new.d", files.folder / "next");
  std::filesystem::rename(files.folder / "next", files.folder / "live");
  bool swapped = false;
  for (const auto limit = Limit(); !swapped && std::chrono::system_clock::now() < limit;) {
    swapped = Connects(server, files.Flags("", "stranger"));
  }
  CHECK(swapped);
  CHECK_FALSE(Connects(server, files.Flags("", "ca")));
}

}  // namespace
}  // namespace berth
