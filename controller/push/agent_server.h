// SPDX-License-Identifier: Apache-2.0
// controller/push/agent_server.h -- the gRPC server that agents dial.
//
//   AgentServer server(loop, {.listen = *ParseListenAddress(":7443"), .credentials = credentials});
//   RETURN_IF_ERROR(server.Start(core));
//   ...
//   server.Shutdown();   // also by the destructor
//
// A stream that breaks a rule of agent.proto is ended with a status that names it; the others notice nothing. A stream
// that ended is told to the loop before gRPC cleans it up: a killed agent process is known within milliseconds, a node
// that fell silent within `keepalive_time` + `keepalive_timeout`.
#ifndef BERTH_CONTROLLER_PUSH_AGENT_SERVER_H_
#define BERTH_CONTROLLER_PUSH_AGENT_SERVER_H_

#include <cstddef>
#include <memory>

#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "common/base/host_port.h"
#include "controller/push/agent_port.h"

namespace grpc {
class ServerCredentials;
}

namespace berth::push {

class AgentServer final : public AgentPort {
 public:
  struct Options {
    HostPort listen;  // port 0: the kernel chooses, see port()
    std::shared_ptr<grpc::ServerCredentials> credentials;
    int max_streams = 5000;                  // one more is refused with ResourceExhausted
    std::size_t max_queued_messages = 1024;  // to one agent that does not read; over one of these it is cut off
    std::size_t max_queued_bytes = std::size_t{64} << 20;
    std::size_t max_backlog = 64;  // messages of one stream that the loop has not handled; reading pauses there
    absl::Duration keepalive_time = absl::Seconds(1);
    absl::Duration keepalive_timeout = absl::Seconds(1);
    absl::Duration hello_timeout = absl::Seconds(10);  // a stream that says nothing for so long is ended
  };

  // `loop` must outlive the server. The loop thread owns the server, destructor included.
  AgentServer(EventLoop& loop, Options options);
  ~AgentServer() override;
  AgentServer(const AgentServer&) = delete;
  AgentServer& operator=(const AgentServer&) = delete;

  // Raises the process's limit of open files to the hard one, then listens. Once only.
  absl::Status Start(Observer& observer) override;
  // The port listened on; 0 before Start has succeeded.
  int port() const;
  void Send(StreamId stream, const sync::ControllerMessage& message) override;
  void Close(StreamId stream, const absl::Status& status) override;
  // Waits for gRPC's threads to let go of the streams: some milliseconds.
  void Shutdown() override;

 private:
  class Hub;
  class Service;

  const Options options_;
  const std::shared_ptr<Hub> hub_;
  struct Running;
  std::unique_ptr<Running> running_;  // between Start and Shutdown
};

}  // namespace berth::push

#endif  // BERTH_CONTROLLER_PUSH_AGENT_SERVER_H_
