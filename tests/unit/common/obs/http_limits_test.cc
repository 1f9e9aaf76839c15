// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <deque>
#include <string>

#include "tests/unit/common/obs/http_fixture.h"

namespace berth {
namespace {

using Catch::Contains;
using Catch::StartsWith;

constexpr absl::Duration kBlink = absl::Milliseconds(1);

TEST_CASE("a head past 8 KiB is answered 431, readable although bytes were left unread", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  client.Send("GET /hello HTTP/1.1\r\nX: " + std::string(100'000, 'x'));
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 431 ") && Contains("Connection: close"));
  client.AwaitClosed();
}

TEST_CASE("what is no request is answered 400 and the connection closed", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  client.Send("\x16\x03\x01 hello\r\n\r\nGET /hello HTTP/1.1\r\n\r\n");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 400 ") && Contains("Connection: close"));
  client.AwaitClosed();
  CHECK(client.Received().empty());
}

TEST_CASE("a body is never taken for the next request", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  client.Send("POST /hello HTTP/1.1\r\nContent-Length: 29\r\n\r\nGET /hello?body HTTP/1.1\r\n\r\n");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 405 "));
  client.AwaitClosed();
  CHECK(client.Received().empty());
}

TEST_CASE("a connection past the limit is closed, and a place that gets free is given again", "[unit]") {
  Site site;
  std::deque<HttpClient> clients;
  for (std::size_t i = 0; i < HttpServer::kMaxConnections; ++i) clients.emplace_back(site.loop, site.server->port());
  site.AwaitConnections(HttpServer::kMaxConnections);
  {
    HttpClient extra(site.loop, site.server->port());
    extra.AwaitClosed();
  }
  CHECK(site.server->connection_count() == HttpServer::kMaxConnections);
  clients.pop_front();
  site.AwaitConnections(HttpServer::kMaxConnections - 1);
  HttpClient next(site.loop, site.server->port());
  next.Get("/hello");
  CHECK_THAT(next.Answer(), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("an idle connection is closed after ten seconds, and each request starts them anew", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  site.AwaitConnections(1);
  site.loop.Advance(HttpServer::kIdleTimeout - kBlink);
  client.Get("/hello");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
  site.loop.Advance(HttpServer::kIdleTimeout - kBlink);
  CHECK(site.server->connection_count() == 1);
  site.loop.Advance(kBlink);
  CHECK(site.server->connection_count() == 0);
  client.AwaitClosed();
}

TEST_CASE("a head that trickles in does not gain time by each byte", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  site.AwaitConnections(1);
  for (int second = 0; second < 9; ++second) {
    client.Send("G");
    site.loop.Turn(1);
    site.loop.Advance(absl::Seconds(1));
  }
  CHECK(site.server->connection_count() == 1);
  site.loop.Advance(absl::Seconds(1));
  CHECK(site.server->connection_count() == 0);
}

TEST_CASE("a large answer reaches a reader with a small buffer whole", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port(), false, 4096);
  client.Get("/big");
  const std::string answer = client.Answer();
  const std::size_t body = answer.find("\r\n\r\n") + 4;
  CHECK(answer.size() - body == Site::kBig);
  CHECK(answer.find_first_not_of('b', body) == std::string::npos);
}

TEST_CASE("a reader that takes nothing holds nobody up and is dropped after ten seconds", "[unit]") {
  Site site;
  HttpClient stuck(site.loop, site.server->port(), false, 4096);
  stuck.Get("/big");
  site.AwaitConnections(1);
  HttpClient other(site.loop, site.server->port());
  other.Get("/hello");
  CHECK_THAT(other.Answer(), StartsWith("HTTP/1.1 200"));
  other.Close();
  site.AwaitConnections(1);
  site.loop.Advance(HttpServer::kIdleTimeout);
  CHECK(site.server->connection_count() == 0);
  stuck.AwaitClosed();
  CHECK(stuck.Received().size() < Site::kBig);
}

TEST_CASE("a client that goes away in any phase frees its place", "[unit]") {
  Site site;
  HttpClient silent(site.loop, site.server->port());
  HttpClient half(site.loop, site.server->port());
  HttpClient reading(site.loop, site.server->port(), false, 4096);
  half.Send("GET /hel");
  reading.Get("/big");
  site.AwaitConnections(3);
  silent.Close();
  site.AwaitConnections(2);
  half.CloseWithReset();
  site.AwaitConnections(1);
  reading.CloseWithReset();
  site.AwaitConnections(0);
}

TEST_CASE("a client that sends for ever after its refusal is cut off after a second", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  client.Send("nonsense\r\n\r\n");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 400"));
  client.Send(std::string(50'000, 'x'));
  while (site.loop.Turn(1)) {
  }
  CHECK(site.server->connection_count() == 1);
  site.loop.Advance(absl::Seconds(1));
  CHECK(site.server->connection_count() == 0);
}

}  // namespace
}  // namespace berth
