// SPDX-License-Identifier: Apache-2.0
#include "common/base/host_port.h"

#include <catch2/catch.hpp>

namespace berth {
namespace {

using Catch::Contains;

TEST_CASE("listen addresses are read and print back as they were", "[unit]") {
  const auto [text, host, port] = GENERATE(table<std::string, std::string, int>({
      {"127.0.0.1:7444", "127.0.0.1", 7444},
      {":8080", "", 8080},
      {"[::1]:443", "::1", 443},
      {"[::]:0", "::", 0},
      {"node-1.example:65535", "node-1.example", 65535},
      {"localhost:1", "localhost", 1},
  }));
  CAPTURE(text);
  const absl::StatusOr<HostPort> parsed = ParseListenAddress(text);
  REQUIRE(parsed.ok());
  CHECK(parsed->host == host);
  CHECK(parsed->port == port);
  CHECK(parsed->ToString() == text);
}

TEST_CASE("a malformed address is refused and the message says why", "[unit]") {
  const auto [text, why] = GENERATE(table<std::string, std::string>({
      {"", "no port"},
      {"8080", "no port"},
      {"host:", "port \"\""},
      {"host:http", "port \"http\""},
      {"host:65536", "65535"},
      {"host:-1", "port \"-1\""},
      {"host:+1", "port \"+1\""},
      {"host: 80", "port \" 80\""},
      {"host:4294967376", "65535"},
      {"::1:443", "brackets"},
      {"[::1]", "bracket"},
      {"[::1:443", "bracket"},
      {"[localhost]:443", "not an IPv6 address"},
      {"[::g]:443", "not an IPv6 address"},
      {"10.0.0.256:80", "not an IPv4 address"},
      {"10.0.0:80", "not an IPv4 address"},
      {"a b:80", "neither an address nor a name"},
      {"http://a:80", "brackets"},
  }));
  CAPTURE(text);
  const absl::StatusOr<HostPort> parsed = ParseListenAddress(text);
  REQUIRE(absl::IsInvalidArgument(parsed.status()));
  CHECK_THAT(std::string(parsed.status().message()), Contains(why) && Contains("\"" + text + "\""));
}

TEST_CASE("a target needs a host and a port that can be dialled", "[unit]") {
  CHECK(ParseTarget("a:1").ok());
  CHECK_THAT(std::string(ParseTarget(":80").status().message()), Contains("no host"));
  CHECK_THAT(std::string(ParseTarget("a:0").status().message()), Contains("cannot be dialled"));
}

TEST_CASE("a list of targets keeps its order and trims blanks", "[unit]") {
  const auto targets = ParseTargets("b:7443, a:7443 ,[fd00::1]:7443");
  REQUIRE(targets.ok());
  CHECK(*targets == std::vector<HostPort>{{"b", 7443}, {"a", 7443}, {"fd00::1", 7443}});
}

TEST_CASE("a list with a hole, a double or a bad entry is refused", "[unit]") {
  CHECK_THAT(std::string(ParseTargets("").status().message()), Contains("empty entry"));
  CHECK_THAT(std::string(ParseTargets("a:1,").status().message()), Contains("empty entry"));
  CHECK_THAT(std::string(ParseTargets("a:1,b:2,a:1").status().message()), Contains("a:1 twice"));
  CHECK_THAT(std::string(ParseTargets("a:1,b").status().message()), Contains("\"b\": has no port"));
}

TEST_CASE("only addresses that stay on this machine are loopback", "[unit]") {
  for (const char* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "::1", "0:0::1"}) {
    CAPTURE(host);
    CHECK(IsLoopback(host));
  }
  for (const char* host : {"", "0.0.0.0", "::", "128.0.0.1", "127.example", "localhost.example", "fe80::1"}) {
    CAPTURE(host);
    CHECK_FALSE(IsLoopback(host));
  }
}

TEST_CASE("gRPC gets all addresses of both families where no host is named", "[unit]") {
  CHECK(HostPort{"", 7443}.ToGrpcListen() == "[::]:7443");
  CHECK(HostPort{"10.0.0.1", 7443}.ToGrpcListen() == "10.0.0.1:7443");
  CHECK(HostPort{"::1", 7443}.ToGrpcListen() == "[::1]:7443");
}

}  // namespace
}  // namespace berth
