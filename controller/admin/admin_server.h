// SPDX-License-Identifier: Apache-2.0
// controller/admin/admin_server.h -- the gRPC server behind berthctl: berth.admin.v1, reflection and grpc.health.v1.
//
//   ASSIGN_OR_RETURN(auto credentials, ServerCredentials(tls_flags, listen, ClientCertificates::kRequired));
//   AdminServer server(loop, core, {.listen = listen, .credentials = credentials});
//   RETURN_IF_ERROR(server.Start());
//   ...
//   server.Shutdown();   // also by the destructor
//
// gRPC's threads only hand calls to the loop, which answers them from the backend; so a call waits as long as the loop
// is busy, and no thread waits with it.
#ifndef BERTH_CONTROLLER_ADMIN_ADMIN_SERVER_H_
#define BERTH_CONTROLLER_ADMIN_ADMIN_SERVER_H_

#include <memory>

#include "absl/status/status.h"
#include "common/base/event_loop.h"
#include "common/base/host_port.h"
#include "controller/model/views.h"

namespace grpc {
class ServerCredentials;
}

namespace berth::admin {

class AdminServer {
 public:
  struct Options {
    HostPort listen;  // port 0: the kernel chooses, see port()
    std::shared_ptr<grpc::ServerCredentials> credentials;
    int max_watches = 64;  // one more is refused with ResourceExhausted
  };

  // `loop` and `backend` must outlive the server. The loop thread owns the server, destructor included; a loop that
  // does not run any more will do.
  AdminServer(EventLoop& loop, model::AdminBackend& backend, Options options);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Listens. Once only. Errors: InvalidArgument for an address that is none, Unavailable when the port cannot be had;
  // the message has the address and the kernel's reason.
  absl::Status Start();
  // The port listened on; 0 unless started.
  int port() const;
  // Ends all calls with UNAVAILABLE and waits for gRPC's threads to let go of them: some milliseconds.
  void Shutdown();

 private:
  class Hub;
  class Service;
  struct Running;

  const Options options_;
  const std::shared_ptr<Hub> hub_;
  std::unique_ptr<Running> running_;  // between Start and Shutdown
};

}  // namespace berth::admin

#endif  // BERTH_CONTROLLER_ADMIN_ADMIN_SERVER_H_
