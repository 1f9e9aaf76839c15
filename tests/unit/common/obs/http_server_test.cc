// SPDX-License-Identifier: Apache-2.0
#include "common/obs/http_server.h"

#include <catch2/catch.hpp>
#include <string>

#include "common/obs/standard_pages.h"
#include "tests/unit/common/obs/http_fixture.h"

namespace berth {
namespace {

using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;

TEST_CASE("a page is answered with its type, length and body, and the connection is kept", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  for (const char* query : {"one", "two"}) {
    client.Get(std::string("/hello?") + query);
    CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200 OK\r\n") && Contains("\r\nContent-Type: text/x-hello\r\n") &&
                                    Contains("\r\nContent-Length: 9\r\n") &&
                                    Contains("\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\n") &&
                                    !Contains("Connection: close") && EndsWith(std::string("\r\n\r\nhello ") + query));
  }
  CHECK_FALSE(client.closed());
}

TEST_CASE("HEAD is answered as GET but without the body", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  client.Send("HEAD /hello HTTP/1.1\r\n\r\n");
  CHECK_THAT(client.Answer(false), StartsWith("HTTP/1.1 200") && Contains("Content-Length: 6\r\n"));
  client.Get("/hello");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));  // what follows is the next answer, not a body
}

TEST_CASE("unknown paths are 404 and other methods 405, on a connection that lives on", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  client.Get("/nothing");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  client.Get("/hello/");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 404"));
  client.Send("DELETE /hello HTTP/1.1\r\n\r\n");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 405 ") && Contains("\r\nAllow: GET, HEAD\r\n"));
  client.Get("/hello");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("requests sent in one go are answered one after the other", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  std::string all;
  for (int i = 0; i < 300; ++i) all += "GET /hello?" + std::to_string(i) + " HTTP/1.1\r\n\r\n";
  client.Send(all);
  for (int i = 0; i < 300; ++i) {
    CAPTURE(i);
    REQUIRE_THAT(client.Answer(), EndsWith("\r\n\r\nhello " + std::to_string(i)));
  }
}

TEST_CASE("a request that comes byte by byte is answered", "[unit]") {
  Site site;
  HttpClient client(site.loop, site.server->port());
  for (char c : std::string("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")) {
    client.Send(std::string(1, c));
    site.loop.Turn(1);
  }
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("a client of HTTP/1.0, or one that says close, sees the end of the connection", "[unit]") {
  Site site;
  const std::string request =
      GENERATE("GET /hello HTTP/1.0\r\n\r\n", "GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n");
  HttpClient client(site.loop, site.server->port());
  client.Send(request);
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200") && Contains("\r\nConnection: close\r\n"));
  client.AwaitClosed();
  client.Close();
  site.AwaitConnections(0);
}

TEST_CASE("an empty host listens on both families", "[unit]") {
  Site site(HostPort{"", 0});
  for (const bool v6 : {false, true}) {
    CAPTURE(v6);
    HttpClient client(site.loop, site.server->port(), v6);
    client.Get("/hello");
    CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
  }
}

TEST_CASE("a port in use and a host that is no address are errors that name them", "[unit]") {
  Site site;
  const HostPort taken{"127.0.0.1", site.server->port()};
  const auto second = HttpServer::Listen(site.loop, taken, {});
  CHECK(absl::IsAlreadyExists(second.status()));
  CHECK_THAT(std::string(second.status().message()), Contains(taken.ToString()));
  const auto named = HttpServer::Listen(site.loop, HostPort{"berth.example", 0}, {});
  CHECK(absl::IsInvalidArgument(named.status()));
  CHECK_THAT(std::string(named.status().message()), Contains("\"berth.example\""));
  CHECK(absl::IsNotFound(HttpServer::Listen(site.loop, HostPort{"192.0.2.1", 0}, {}).status()));
  CHECK(HttpServer::Listen(site.loop, HostPort{"localhost", 0}, {}).ok());
}

TEST_CASE("a server that goes takes its connections, watches and timers along", "[unit]") {
  Site site;
  HttpClient idle(site.loop, site.server->port());
  HttpClient busy(site.loop, site.server->port());
  busy.Get("/big");
  site.AwaitConnections(2);
  site.server.reset();
  idle.AwaitClosed();
  busy.AwaitClosed();
  CHECK(site.loop.watch_count() == 0);
  site.loop.Advance(absl::Minutes(1));
}

TEST_CASE("probes say ok, or what is lacking", "[unit]") {
  SocketLoop loop;
  const Metrics metrics;
  std::vector<std::string> lacking = {"agents: none connected", "caches: not complete"};
  auto server =
      HttpServer::Listen(loop, HostPort{"127.0.0.1", 0},
                         StandardPages(metrics, [] { return std::vector<std::string>(); }, [&] { return lacking; }));
  REQUIRE(server.ok());
  HttpClient client(loop, (*server)->port());
  client.Get("/healthz");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200 OK\r\n") && EndsWith("\r\n\r\nok\n"));
  client.Get("/readyz");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 503 Service Unavailable\r\n") &&
                                  EndsWith("\r\n\r\nagents: none connected\ncaches: not complete\n"));
  lacking.clear();
  client.Get("/readyz");
  CHECK_THAT(client.Answer(), StartsWith("HTTP/1.1 200"));
  client.Get("/metrics");
  CHECK_THAT(client.Answer(), Contains("Content-Type: text/plain; version=0.0.4") && Contains("\nberth_build_info{"));
}

}  // namespace
}  // namespace berth
