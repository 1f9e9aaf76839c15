// SPDX-License-Identifier: Apache-2.0
// bare_client HOST:PORT NODE [CA CERT KEY]: the least that can stand in for an agent, to hold the agent's memory
// against. One gRPC channel, one stream, the Hello and the heartbeats without which the controller would end it; linked
// as the agent is. Ends when the stream does.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>
#include <utility>

#include "berth/agent/v1/agent.grpc.pb.h"
#include "common/base/host_port.h"
#include "common/tls/credentials.h"

namespace {

namespace v1 = berth::agent::v1;

constexpr useconds_t kHeartbeatMicros = 200'000;  // the controller's default
constexpr int kMostArguments = 6;

v1::AgentMessage HelloOf(const std::string& node) {
  v1::AgentMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_node(node);
  hello.set_instance_id(node);
  hello.set_boot_id(node);
  hello.set_started_ns(1);
  hello.set_version("bare");
  return message;
}

int Run(const std::string& target, const std::string& node, berth::TlsFlags tls) {
  tls.insecure = tls.ca.empty();
  grpc::ChannelArguments arguments;
  auto credentials = berth::ChannelCredentials(tls, {}, berth::kControllerTlsName, arguments);
  if (!credentials.ok()) {
    std::fprintf(stderr, "bare_client: %s\n", credentials.status().ToString().c_str());
    return 1;
  }
  const auto stub = v1::AgentService::NewStub(grpc::CreateCustomChannel(target, *std::move(credentials), arguments));
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const auto stream = stub->Connect(&context);
  if (!stream->Write(HelloOf(node))) return 1;
  std::thread beats([&stream] {
    v1::AgentMessage beat;
    for (std::uint64_t n = 1;; ++n) {
      beat.mutable_heartbeat()->set_sequence(n);
      if (!stream->Write(beat)) return;
      usleep(kHeartbeatMicros);
    }
  });
  v1::ControllerMessage heard;
  while (stream->Read(&heard)) {
  }
  beats.join();
  std::fprintf(stderr, "bare_client: %s\n", stream->Finish().error_message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != kMostArguments) {
    std::fputs("usage: bare_client HOST:PORT NODE [CA CERT KEY]\n", stderr);
    return 2;
  }
  berth::TlsFlags tls;
  if (argc == kMostArguments) tls = {.cert = argv[4], .key = argv[5], .ca = argv[3]};
  return Run(argv[1], argv[2], tls);
}
