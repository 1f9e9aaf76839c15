// SPDX-License-Identifier: Apache-2.0
#include "common/obs/http_parse.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace berth {
namespace {

constexpr std::size_t kMax = 200;

HttpHead Head(const std::string& bytes) {
  const HttpParseResult result = ParseHttpHead(bytes, kMax);
  REQUIRE(std::holds_alternative<HttpHead>(result));
  return std::get<HttpHead>(result);
}

TEST_CASE("a request head gives method, path, query and its own length", "[unit]") {
  const std::string bytes = "GET /readyz?verbose&x=1?2 HTTP/1.1\r\nHost: a\r\nX-Y:\r\n\r\n";
  const HttpHead head = Head(bytes + "GET /next");
  CHECK(head.method == "GET");
  CHECK(head.path == "/readyz");
  CHECK(head.query == "verbose&x=1?2");
  CHECK(head.keep_alive);
  CHECK_FALSE(head.has_body);
  CHECK(head.size == bytes.size());
}

TEST_CASE("bare line feeds end lines too", "[unit]") {
  const std::string bytes = "HEAD / HTTP/1.0\nHost: a\n\n";
  CHECK(Head(bytes).method == "HEAD");
  CHECK(Head(bytes).size == bytes.size());
}

TEST_CASE("the connection is kept as version and header say", "[unit]") {
  const auto [rest, kept] = GENERATE(table<std::string, bool>({
      {"HTTP/1.1\r\n", true},
      {"HTTP/1.1\r\nConnection: close\r\n", false},
      {"HTTP/1.1\r\nCONNECTION: x, Close\r\n", false},
      {"HTTP/1.0\r\n", false},
      {"HTTP/1.0\r\nConnection: Keep-Alive\r\n", true},
  }));
  CAPTURE(rest);
  CHECK(Head("GET / " + rest + "\r\n").keep_alive == kept);
}

TEST_CASE("a body that is announced is noticed", "[unit]") {
  CHECK(Head("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\n").has_body);
  CHECK(Head("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").has_body);
  CHECK(Head("GET / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\n").has_body);
  CHECK_FALSE(Head("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").has_body);
}

TEST_CASE("any part of a head asks for more", "[unit]") {
  const std::string bytes = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    CAPTURE(n);
    CHECK(std::holds_alternative<HttpIncomplete>(ParseHttpHead(bytes.substr(0, n), kMax)));
  }
}

TEST_CASE("a head may be as long as the limit and no longer", "[unit]") {
  const std::string start = "GET / HTTP/1.1\r\nX: ";
  const std::string end = "\r\n\r\n";
  const std::string filler(kMax - start.size() - end.size(), 'x');
  CHECK(Head(absl::StrCat(start, filler, end)).size == kMax);
  const HttpParseResult result = ParseHttpHead(absl::StrCat(start, filler, "x", end), kMax);
  REQUIRE(std::holds_alternative<HttpRefused>(result));
  CHECK(std::get<HttpRefused>(result).code == 431);
}

TEST_CASE("what is no request is refused", "[unit]") {
  const auto [line, code] = GENERATE(table<std::string, int>({
      {"", 400},
      {"GET", 400},
      {"GET /", 400},
      {"GET  / HTTP/1.1", 400},
      {"GET / HTTP/1.1 x", 400},
      {"G(T / HTTP/1.1", 400},
      {"GET http://a/ HTTP/1.1", 400},
      {"GET * HTTP/1.1", 400},
      {"GET /\x01 HTTP/1.1", 400},
      {"GET /\xC3\xA9 HTTP/1.1", 400},
      {"GET / HTTP/1.1x", 400},
      {"GET / http/1.1", 400},
      {"GET / HTTP/2.0", 505},
      {"GET / HTTP/1.1\r\nno colon", 400},
      {"GET / HTTP/1.1\r\n: empty", 400},
      {"GET / HTTP/1.1\r\nHost : a", 400},
      {"GET / HTTP/1.1\r\nA: b\r\n folded", 400},
      {"\x16\x03\x01\x02", 400},
  }));
  CAPTURE(line);
  const HttpParseResult result = ParseHttpHead(line + "\r\n\r\n", kMax);
  REQUIRE(std::holds_alternative<HttpRefused>(result));
  CHECK(std::get<HttpRefused>(result).code == code);
}

}  // namespace
}  // namespace berth
