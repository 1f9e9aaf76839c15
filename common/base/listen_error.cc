// SPDX-License-Identifier: Apache-2.0
#include "common/base/listen_error.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/errno_status.h"

namespace berth {
namespace {

// 0 when it can be bound to.
int BindErrno(const addrinfo& address) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1;
  const bool bound = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                     bind(fd, address.ai_addr, address.ai_addrlen) == 0 && listen(fd, 1) == 0;
  const int reason = bound ? 0 : errno;
  close(fd);
  return reason;
}

}  // namespace

absl::Status ListenError(const HostPort& listen, absl::string_view whom) {
  const std::string what = absl::StrCat("cannot listen for ", whom, " on ", listen.ToString());
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = listen.host.empty() ? AF_INET6 : AF_UNSPEC;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(listen.port);
  const int error = getaddrinfo(listen.host.empty() ? nullptr : listen.host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return absl::InvalidArgumentError(absl::StrCat(what, ": ", gai_strerror(error)));
  const int reason = BindErrno(*found);
  freeaddrinfo(found);
  if (reason == 0) return absl::UnavailableError(absl::StrCat(what, ": gRPC refused it"));
  return absl::UnavailableError(ErrnoStatus(reason, what).message());
}

}  // namespace berth
