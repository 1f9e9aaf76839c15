// SPDX-License-Identifier: Apache-2.0
#include "common/obs/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/errno_status.h"
#include "common/base/status_macros.h"
#include "common/obs/http_connection.h"
#include "common/obs/log.h"

namespace berth {
namespace {

constexpr int kBacklog = 64;
constexpr absl::Duration kAcceptPause = absl::Seconds(1);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress V4(in_addr address, std::uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr = address;
  in.sin_port = htons(port);
  SocketAddress result;
  std::memcpy(&result.storage, &in, sizeof in);
  result.size = sizeof in;
  return result;
}

SocketAddress V6(const in6_addr& address, std::uint16_t port) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_addr = address;
  in.sin6_port = htons(port);
  SocketAddress result;
  std::memcpy(&result.storage, &in, sizeof in);
  result.size = sizeof in;
  return result;
}

absl::StatusOr<SocketAddress> Resolve(const HostPort& address) {
  if (address.host.empty()) return V6(in6addr_any, address.port);
  const bool is_localhost = absl::AsciiStrToLower(address.host) == "localhost";
  const std::string host = is_localhost ? "127.0.0.1" : address.host;
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return V4(v4, address.port);
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) return V6(v6, address.port);
  return absl::InvalidArgumentError(absl::StrCat("http listener \"", address.ToString(), "\": \"", address.host,
                                                 "\" is not an address of this machine"));
}

absl::StatusOr<int> OpenListener(SocketAddress address, const std::string& name) {
  const std::string what = absl::StrCat("http listener ", name);
  const int family = address.storage.ss_family;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat(what, ": socket"));
  const int on = 1;
  const int off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  absl::Status status;
  if (::bind(fd, address.get(), address.size) != 0) {
    status = ErrnoStatus(errno, absl::StrCat(what, ": bind"));
  } else if (::listen(fd, kBacklog) != 0) {
    status = ErrnoStatus(errno, absl::StrCat(what, ": listen"));
  }
  if (status.ok()) return fd;
  ::close(fd);
  return status;
}

absl::StatusOr<std::uint16_t> PortOf(int fd) {
  SocketAddress bound;
  bound.size = sizeof bound.storage;
  if (::getsockname(fd, bound.get(), &bound.size) != 0) return ErrnoStatus(errno, "http listener: getsockname");
  // The port stands at one place in sockaddr_in and sockaddr_in6.
  sockaddr_in in{};
  std::memcpy(&in, &bound.storage, sizeof in);
  return ntohs(in.sin_port);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(EventLoop& loop, int fd, std::uint16_t port, HttpHandlers handlers)
      : loop_(loop), fd_(fd), port_(port), handlers_(std::move(handlers)) {}
  ~Impl() {
    loop_.Cancel(pause_);
    loop_.UnwatchFd(fd_);
    ::close(fd_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  absl::Status Watch() {
    return loop_.WatchFd(fd_, EPOLLIN, [this](std::uint32_t) { Accept(); });
  }
  std::uint16_t port() const { return port_; }
  std::size_t connection_count() const { return connections_.size(); }

 private:
  void Accept() {
    while (true) {
      const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN) Pause(errno);
        return;
      }
      if (connections_.size() >= kMaxConnections) {
        ::close(fd);
        continue;
      }
      auto connection = std::make_unique<HttpConnection>(loop_, fd, handlers_, [this, fd] { connections_.erase(fd); });
      if (connection->Start().ok()) connections_.emplace(fd, std::move(connection));
    }
  }

  // Out of descriptors or memory: the listener stays readable, and asking again at once would only burn the CPU.
  void Pause(int error) {
    LogWarn("http listener pauses", {{"port", port_}, {"error", ErrnoStatus(error, "accept").message()}});
    loop_.UnwatchFd(fd_);
    pause_ = loop_.RunAfter(kAcceptPause, [this] {
      const absl::Status watched = Watch();
      if (!watched.ok()) Pause(ENOMEM);
    });
  }

  EventLoop& loop_;
  const int fd_;
  const std::uint16_t port_;
  const HttpHandlers handlers_;
  std::map<int, std::unique_ptr<HttpConnection>> connections_;
  TimerId pause_ = 0;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(EventLoop& loop, const HostPort& address,
                                                               HttpHandlers handlers) {
  ASSIGN_OR_RETURN(SocketAddress resolved, Resolve(address));
  absl::StatusOr<int> fd = OpenListener(resolved, address.ToString());
  if (!fd.ok() && address.host.empty() && absl::IsUnimplemented(fd.status())) {
    fd = OpenListener(V4({.s_addr = htonl(INADDR_ANY)}, address.port), address.ToString());  // a kernel without IPv6
  }
  if (!fd.ok()) return fd.status();
  absl::StatusOr<std::uint16_t> port = PortOf(*fd);
  if (!port.ok()) {
    ::close(*fd);
    return port.status();
  }
  auto impl = std::make_unique<Impl>(loop, *fd, *port, std::move(handlers));
  RETURN_IF_ERROR(impl->Watch());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return impl_->port(); }
std::size_t HttpServer::connection_count() const { return impl_->connection_count(); }

}  // namespace berth
