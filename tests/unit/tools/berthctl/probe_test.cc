// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/probe.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::ctl {
namespace {

using Catch::Matchers::Contains;

// Listens on loopback and gives the first caller one answer.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) : answer_(std::move(answer)), fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(fd_, raw, size) == 0);
    REQUIRE(listen(fd_, 1) == 0);
    REQUIRE(getsockname(fd_, raw, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~OneAnswer() {
    shutdown(fd_, SHUT_RDWR);  // wakes accept()
    thread_.join();
    close(fd_);
  }
  std::string Url() const { return absl::StrCat("http://127.0.0.1:", port_, "/readyz"); }
  const std::string& request() const { return request_; }  // once it has been answered

 private:
  void Serve() {
    const int caller = accept(fd_, nullptr, nullptr);
    if (caller < 0) return;
    char chunk[1024];
    while (request_.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = recv(caller, chunk, sizeof chunk, 0);
      if (got <= 0) break;
      request_.append(chunk, static_cast<std::size_t>(got));
    }
    send(caller, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    close(caller);
  }

  std::string answer_, request_;
  int fd_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

Outcome Ask(const std::string& url, std::string& printed) {
  std::ostringstream out, err;
  Outcome outcome = Probe(Console{out, err}, url, absl::Seconds(5));
  printed = out.str();
  return outcome;
}

TEST_CASE("a page that is there is done, and its first line is printed", "[unit]") {
  std::string printed;
  const OneAnswer server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok\nmore\n\n");
  CHECK(Ask(server.Url(), printed).ok());
  CHECK_THAT(printed, Contains(": 200 ok\n"));
  CHECK_THAT(server.request(), Catch::StartsWith("GET /readyz HTTP/1.1\r\n"));
}

TEST_CASE("a page that says no is refused, with the code and the reason", "[unit]") {
  std::string printed;
  const OneAnswer server("HTTP/1.1 503 Service Unavailable\r\n\r\ncaches are not complete\n");
  const Outcome outcome = Ask(server.Url(), printed);
  CHECK(outcome.code == ExitCode::kRefused);
  CHECK_THAT(outcome.message, Contains("503"));
  CHECK_THAT(printed, Contains("503 caches are not complete"));
}

TEST_CASE("what is no HTTP is refused", "[unit]") {
  std::string printed;
  const OneAnswer server("hello\r\n");
  CHECK(Ask(server.Url(), printed).code == ExitCode::kRefused);
}

TEST_CASE("where nobody listens is not reachable", "[unit]") {
  std::string printed, url;
  {
    const OneAnswer server("");
    url = server.Url();
  }
  CHECK(Ask(url, printed).code == ExitCode::kNotReachable);
}

TEST_CASE("what is no URL of ours is bad usage", "[unit]") {
  const auto* const url = GENERATE("", "readyz", "https://a:1/", "http://a/", "http://a:0/", "http://a:1/x y");
  std::string printed;
  CHECK(Ask(url, printed).code == ExitCode::kBadUsage);
}

}  // namespace
}  // namespace berth::ctl
