// SPDX-License-Identifier: Apache-2.0
// tests/unit/common/obs/http_fixture.h -- an HttpServer with real sockets and virtual time, and clients of it, all in
// one thread.
#ifndef BERTH_TESTS_UNIT_COMMON_OBS_HTTP_FIXTURE_H_
#define BERTH_TESTS_UNIT_COMMON_OBS_HTTP_FIXTURE_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/obs/http_server.h"
#include "tests/fakes/manual_event_loop.h"

namespace berth {

// Descriptors are real, timers virtual.
class SocketLoop final : public EventLoop {
 public:
  absl::Time Now() const override { return manual_.Now(); }
  absl::Time WallNow() const override { return manual_.WallNow(); }
  void Post(std::function<void()> task) override { manual_.Post(std::move(task)); }
  TimerId RunAt(absl::Time deadline, std::function<void()> task) override {
    return manual_.RunAt(deadline, std::move(task));
  }
  void Cancel(TimerId id) override { manual_.Cancel(id); }
  // EPOLLIN, EPOLLOUT, EPOLLERR and EPOLLHUP have the values of their poll names on Linux.
  absl::Status WatchFd(int fd, std::uint32_t events, std::function<void(std::uint32_t)> on_events) override {
    watches_[fd] = {static_cast<short>(events), std::make_shared<std::function<void(std::uint32_t)>>(on_events)};
    return absl::OkStatus();
  }
  void UnwatchFd(int fd) override { watches_.erase(fd); }

  void Advance(absl::Duration d) { manual_.Advance(d); }
  std::size_t watch_count() const { return watches_.size(); }

  // One turn: handles what is ready, waiting at most `wait_ms` for the first event. False when there was none.
  bool Turn(int wait_ms) {
    manual_.RunUntilIdle();
    std::vector<pollfd> polled;
    for (const auto& [fd, watch] : watches_) polled.push_back({fd, watch.first, 0});
    if (::poll(polled.data(), polled.size(), wait_ms) <= 0) return false;
    for (const pollfd& p : polled) {
      const auto found = watches_.find(p.fd);
      if (p.revents == 0 || found == watches_.end()) continue;
      const auto call = found->second.second;
      (*call)(static_cast<std::uint32_t>(static_cast<unsigned short>(p.revents)));
    }
    return true;
  }
  // Runs turns until `done`; fails the test if that does not come.
  void RunUntil(const std::function<bool()>& done) {
    for (int turn = 0; !done(); ++turn) {
      REQUIRE(turn < 5000);
      Turn(1);
    }
  }

 private:
  ManualEventLoop manual_;
  std::map<int, std::pair<short, std::shared_ptr<std::function<void(std::uint32_t)>>>> watches_;
};

class HttpClient {
 public:
  HttpClient(SocketLoop& loop, std::uint16_t port, bool v6 = false, int receive_buffer = 0) : loop_(loop) {
    fd_ = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in v4_address{};
    v4_address.sin_family = AF_INET;
    v4_address.sin_port = htons(port);
    v4_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6_address{};
    v6_address.sin6_family = AF_INET6;
    v6_address.sin6_port = htons(port);
    v6_address.sin6_addr = in6addr_loopback;
    const int result = v6 ? ::connect(fd_, reinterpret_cast<sockaddr*>(&v6_address), sizeof v6_address)
                          : ::connect(fd_, reinterpret_cast<sockaddr*>(&v4_address), sizeof v4_address);
    REQUIRE(result == 0);  // the kernel accepts for the server, so this does not wait for the loop
  }
  ~HttpClient() { Close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Send(const std::string& bytes) {
    REQUIRE(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  void Get(const std::string& path) { Send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); }
  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void CloseWithReset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    Close();
  }

  // What has come so far, taking all that is there.
  const std::string& Received() {
    std::array<char, 65536> block;
    for (ssize_t n = 0; (n = ::recv(fd_, block.data(), block.size(), MSG_DONTWAIT)) != -1;) {
      if (n == 0) {
        closed_ = true;
        break;
      }
      received_.append(block.data(), static_cast<std::size_t>(n));
    }
    if (errno == ECONNRESET) closed_ = true;
    return received_;
  }
  bool closed() {
    Received();
    return closed_;
  }
  // The next whole answer: head and as many body bytes as it announces.
  std::string Answer(bool with_body = true) {
    std::size_t size = 0;
    loop_.RunUntil([&] {
      const std::string& bytes = Received();
      const std::size_t end = bytes.find("\r\n\r\n");
      const std::size_t length = bytes.find("Content-Length: ");
      if (end == std::string::npos || length > end) return false;
      size = end + 4 + (with_body ? std::stoul(bytes.substr(length + 16)) : 0);
      return bytes.size() >= size;
    });
    std::string answer = received_.substr(0, size);
    received_.erase(0, size);
    return answer;
  }
  void AwaitClosed() {
    loop_.RunUntil([&] { return closed(); });
  }

 private:
  SocketLoop& loop_;
  int fd_ = -1;
  std::string received_;
  bool closed_ = false;
};

// A server with a page "/hello", and "/big" of 16 MiB, more than sockets buffer.
struct Site {
  static constexpr std::size_t kBig = std::size_t{16} << 20;

  Site() : Site(HostPort{"127.0.0.1", 0}) {}
  explicit Site(const HostPort& address) {
    HttpHandlers handlers;
    handlers["/hello"] = [](const HttpRequest& request) {
      return HttpResponse{.body = "hello " + request.query, .content_type = "text/x-hello"};
    };
    handlers["/big"] = [](const HttpRequest&) { return HttpResponse{.body = std::string(kBig, 'b')}; };
    auto listening = HttpServer::Listen(loop, address, std::move(handlers));
    REQUIRE(listening.ok());
    server = *std::move(listening);
  }
  void AwaitConnections(std::size_t n) {
    loop.RunUntil([&] { return server->connection_count() == n; });
  }

  SocketLoop loop;
  std::unique_ptr<HttpServer> server;
};

}  // namespace berth

#endif  // BERTH_TESTS_UNIT_COMMON_OBS_HTTP_FIXTURE_H_
