// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/netlink/netlink_socket.h -- route netlink as two kinds of socket: one that asks, one that
// listens.
//
//   NetlinkSocket ask;
//   RETURN_IF_ERROR(ask.OpenForRequests());
//   RETURN_IF_ERROR(ask.Dump(RTM_GETADDR, &header, sizeof(header), [&](const nlmsghdr& m) { table.Apply(m); }));
//
// A socket belongs to the network namespace in which it was opened. Not thread-safe: loop thread only. Requests and
// dumps block, but only for as long as the kernel works on them: it answers within the system call.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_SOCKET_H_
#define BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_SOCKET_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

struct nl_sock;
struct nl_msg;
struct nlmsghdr;

namespace berth::agent {

// Turns a libnl error (negative NLE_ code) into a status whose message starts with `what`.
// PermissionDenied names the capability that is missing; NotFound: no such interface or address; Unimplemented: the
// kernel lacks the feature; AlreadyExists; ResourceExhausted; else Internal.
absl::Status NetlinkError(int nl_error, absl::string_view what);

struct NlMsgFree {
  void operator()(nl_msg* message) const;
};
using NlMsgPtr = std::unique_ptr<nl_msg, NlMsgFree>;

class NetlinkSocket {
 public:
  using MessageFn = std::function<void(const nlmsghdr&)>;

  absl::Status OpenForRequests();
  // Subscribes to links, addresses of both families, and routes of both. Non-blocking. `buffer_bytes` is the receive
  // buffer (beyond the system's limit when we may).
  absl::Status OpenForEvents(int buffer_bytes);
  bool is_open() const { return socket_ != nullptr; }
  int fd() const;

  // Sends one request and waits for its acknowledgement. Errors: NetlinkError.
  absl::Status Request(NlMsgPtr message, absl::string_view what);
  // Dumps `type`, with `header` (the family's fixed header) as filter. A dump that the kernel marks as interrupted by a
  // change is repeated: `on_start` is called before each try, so that the caller forgets what an earlier one said.
  absl::Status Dump(int type, const void* header, std::size_t header_size, const std::function<void()>& on_start,
                    const MessageFn& on_message);
  // Event socket: hands over all that is queued. False when the kernel dropped events for lack of buffer since the last
  // call: what we know is then stale, though the queue was handed over as usual.
  bool Drain(const MessageFn& on_message);

 private:
  struct NlSockFree {
    void operator()(nl_sock* socket) const;
  };
  absl::Status Connect();
  std::unique_ptr<nl_sock, NlSockFree> socket_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_SOCKET_H_
