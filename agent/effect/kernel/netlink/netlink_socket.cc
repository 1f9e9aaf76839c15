// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/netlink/netlink_socket.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

constexpr int kDumpTries = 8;

int OnValid(nl_msg* message, void* arg) {
  (*static_cast<const NetlinkSocket::MessageFn*>(arg))(*nlmsg_hdr(message));
  return NL_OK;
}

void* Opaque(const NetlinkSocket::MessageFn& fn) { return const_cast<NetlinkSocket::MessageFn*>(&fn); }

}  // namespace

absl::Status NetlinkError(int nl_error, absl::string_view what) {
  const int code = nl_error < 0 ? -nl_error : nl_error;
  const std::string message = absl::StrCat(what, ": ", nl_geterror(code));
  switch (code) {
    case NLE_PERM:
    case NLE_NOACCESS:
      return absl::PermissionDeniedError(absl::StrCat(message, " (the agent needs CAP_NET_ADMIN)"));
    case NLE_NODEV:
    case NLE_NOADDR:
    case NLE_OBJ_NOTFOUND:
      return absl::NotFoundError(message);
    case NLE_EXIST:
      return absl::AlreadyExistsError(message);
    case NLE_OPNOTSUPP:
    case NLE_AF_NOSUPPORT:
    case NLE_PROTO_MISMATCH:
      return absl::UnimplementedError(message);
    case NLE_NOMEM:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

void NlMsgFree::operator()(nl_msg* message) const { nlmsg_free(message); }
void NetlinkSocket::NlSockFree::operator()(nl_sock* socket) const { nl_socket_free(socket); }

absl::Status NetlinkSocket::Connect() {
  socket_.reset(nl_socket_alloc());
  if (socket_ == nullptr) return absl::ResourceExhaustedError("netlink socket: out of memory");
  if (const int err = nl_connect(socket_.get(), NETLINK_ROUTE); err < 0) {
    socket_.reset();
    return NetlinkError(err, "netlink socket: connect");
  }
  return absl::OkStatus();
}

absl::Status NetlinkSocket::OpenForRequests() {
  RETURN_IF_ERROR(Connect());
  // Lets the kernel filter route dumps for us. Kernels before 4.20 refuse the option and send more; we filter as well.
  const int on = 1;
  setsockopt(fd(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  return absl::OkStatus();
}

absl::Status NetlinkSocket::OpenForEvents(int buffer_bytes) {
  RETURN_IF_ERROR(Connect());
  nl_socket_disable_seq_check(socket_.get());
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes)) != 0) {
    setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
  }
  int err = nl_socket_add_memberships(socket_.get(), RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
  if (err >= 0) err = nl_socket_set_nonblocking(socket_.get());
  if (err < 0) {
    socket_.reset();
    return NetlinkError(err, "netlink socket: subscribe to links, addresses and routes");
  }
  return absl::OkStatus();
}

int NetlinkSocket::fd() const { return nl_socket_get_fd(socket_.get()); }

absl::Status NetlinkSocket::Request(NlMsgPtr message, absl::string_view what) {
  const int err = nl_send_sync(socket_.get(), message.release());  // frees the message
  return err < 0 ? NetlinkError(err, what) : absl::OkStatus();
}

absl::Status NetlinkSocket::Dump(int type, const void* header, std::size_t header_size,
                                 const std::function<void()>& on_start, const MessageFn& on_message) {
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, OnValid, Opaque(on_message));
  int err = 0;
  for (int i = 0; i < kDumpTries; ++i) {
    on_start();
    err = nl_send_simple(socket_.get(), type, NLM_F_DUMP, const_cast<void*>(header), header_size);
    if (err >= 0) err = nl_recvmsgs_default(socket_.get());
    if (err != -NLE_DUMP_INTR) break;
  }
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_DEFAULT, nullptr, nullptr);
  // Interrupted each time means that somebody changes things incessantly: the last dump plus the events it causes are
  // as good as it gets.
  if (err >= 0 || err == -NLE_DUMP_INTR) return absl::OkStatus();
  return NetlinkError(err, absl::StrCat("netlink dump of type ", type));
}

bool NetlinkSocket::Drain(const MessageFn& on_message) {
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, OnValid, Opaque(on_message));
  bool complete = true;
  while (true) {
    errno = 0;
    const int err = nl_recvmsgs_default(socket_.get());
    if (err >= 0) continue;
    if (err == -NLE_AGAIN) break;
    complete = false;
    // ENOBUFS comes once as "out of memory"; the queue is still there to be read. Anything else will not pass by
    // itself.
    if (err != -NLE_NOMEM || errno != ENOBUFS) break;
  }
  return complete;
}

}  // namespace berth::agent
