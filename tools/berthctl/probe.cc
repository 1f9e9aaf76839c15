// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/errno_status.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"

namespace berth::ctl {
namespace {

constexpr std::size_t kMaxAnswer = 64 * 1024;

struct Url {
  HostPort server;
  std::string path;
};

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "http://")) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(text), " is not http://HOST:PORT/PATH"));
  }
  const std::size_t slash = rest.find('/');
  Url url;
  ASSIGN_OR_RETURN(url.server, ParseTarget(rest.substr(0, slash)));
  url.path = slash == absl::string_view::npos ? "/" : std::string(rest.substr(slash));
  if (url.path.find_first_of(" \r\n") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(text), " has a blank in its path"));
  }
  return url;
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<Addresses> Resolve(const HostPort& server) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(server.host.c_str(), absl::StrCat(server.port).c_str(), &hints, &found);
  if (error != 0) return absl::UnavailableError(absl::StrCat(server.host, ": ", gai_strerror(error)));
  return Addresses(found, freeaddrinfo);
}

std::string Text(const addrinfo& address, std::uint16_t port) {
  std::array<char, NI_MAXHOST> host{};
  getnameinfo(address.ai_addr, address.ai_addrlen, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST);
  return HostPort{host.data(), port}.ToString();
}

class Socket {
 public:
  explicit Socket(int family) : fd_(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// The whole answer, head and body. Each step may take `timeout`; Linux bounds connect() by SO_SNDTIMEO, too.
absl::StatusOr<std::string> Fetch(const addrinfo& address, const Url& url, absl::Duration timeout) {
  const Socket socket(address.ai_family);
  if (socket.fd() < 0) return ErrnoStatus(errno, "socket");
  const timeval limit = absl::ToTimeval(timeout);
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) return ErrnoStatus(errno, "connect");
  const std::string request =
      absl::StrCat("GET ", url.path, " HTTP/1.1\r\nHost: ", url.server.ToString(), "\r\nConnection: close\r\n\r\n");
  if (send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return ErrnoStatus(errno, "send");
  }
  std::string answer;
  std::array<char, 4096> chunk{};
  while (answer.size() < kMaxAnswer) {
    const ssize_t got = recv(socket.fd(), chunk.data(), chunk.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "receive");
    if (got == 0) break;
    answer.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

// "HTTP/1.1 200 OK" -> 200; 0 when it is no HTTP.
int StatusCode(absl::string_view answer) {
  int code = 0;
  if (!absl::ConsumePrefix(&answer, "HTTP/1.1 ") && !absl::ConsumePrefix(&answer, "HTTP/1.0 ")) return 0;
  return absl::SimpleAtoi(answer.substr(0, 3), &code) ? code : 0;
}

std::string FirstBodyLine(absl::string_view answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == absl::string_view::npos) return "";
  const absl::string_view body = answer.substr(end + 4);
  return std::string(body.substr(0, body.find('\n')));
}

}  // namespace

Outcome Probe(const Console& console, const std::string& url_text, absl::Duration timeout) {
  const absl::StatusOr<Url> url = ParseUrl(url_text);
  if (!url.ok()) return Outcome::BadUsage(std::string(url.status().message()));
  const absl::StatusOr<Addresses> addresses = Resolve(url->server);
  if (!addresses.ok()) return Outcome::NotReachable(std::string(addresses.status().message()));
  Outcome worst = Outcome::Done();
  for (const addrinfo* a = addresses->get(); a != nullptr; a = a->ai_next) {
    const std::string name = Text(*a, url->server.port);
    const absl::StatusOr<std::string> answer = Fetch(*a, *url, timeout);
    if (!answer.ok()) {
      console.out << name << ": " << answer.status().message() << "\n";
      worst = Outcome::NotReachable(absl::StrCat(name, " cannot be reached: ", answer.status().message()));
      continue;
    }
    const int code = StatusCode(*answer);
    console.out << name << ": " << code << " " << FirstBodyLine(*answer) << "\n";
    if ((code < 200 || code > 299) && worst.ok()) {
      worst = Outcome::Refused(absl::StrCat(name, url->path, code == 0 ? " does not speak HTTP" : " answers ",
                                            code == 0 ? "" : absl::StrCat(code)));
    }
  }
  return worst;
}

}  // namespace berth::ctl
