// SPDX-License-Identifier: Apache-2.0
#include "common/sync/wire.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>

namespace berth::sync {
namespace {

using Path = WireReader::Path;
const Path kRoot{nullptr, "hello"};

std::string Problem(const WireReader& in) { return std::string(in.status().message()); }

TEST_CASE("a path names the field down to its place in a list", "[unit]") {
  const Path list{&kRoot, "interfaces", 2};
  CHECK(Path{&list, "mac"}.ToString() == "hello.interfaces[2].mac");
}

TEST_CASE("the first thing that is wrong is the one that is told", "[unit]") {
  WireReader in;
  const std::vector<std::string> texts = {"192.0.2.1", "192.0.2.01", "nonsense"};
  in.Addresses({&kRoot, "local"}, texts, 3);
  in.Name({&kRoot, "node"}, "");
  CHECK(in.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(Problem(in), Catch::StartsWith("hello.local[1]: "));
  CHECK_THAT(Problem(in), Catch::Contains("192.0.2.01"));
}

TEST_CASE("a list over its bound is refused before its entries are read", "[unit]") {
  WireReader in;
  const std::vector<std::string> texts = {"192.0.2.1", "nonsense", "192.0.2.3"};
  CHECK(in.Addresses({&kRoot, "local"}, texts, 2).empty());
  CHECK(Problem(in) == "hello.local: 3 entries, at most 2 are allowed");
}

TEST_CASE("names are bounded, UTF-8, and free of control characters", "[unit]") {
  const auto accepted = [](const std::string& text) {
    WireReader in;
    in.Name(kRoot, text);
    return in.ok();
  };
  CHECK(accepted("eth0"));
  CHECK(accepted(std::string(253, 'n')));
  CHECK_FALSE(accepted(std::string(254, 'n')));
  CHECK_FALSE(accepted(""));
  CHECK_FALSE(accepted("a\nb"));
  CHECK(accepted("\xc3\xa4"));
  CHECK_FALSE(accepted("a\xff"));
  CHECK_FALSE(accepted(std::string("a\0b", 3)));
}

TEST_CASE("durations are within 1 ms and 1 h, in the form that protobuf allows", "[unit]") {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
  bool good = false;
  std::tie(seconds, nanos, good) = GENERATE(table<std::int64_t, std::int32_t, bool>(
      {{0, 200'000'000, true},
       {0, 1'000'000, true},
       {3600, 0, true},
       {0, 999'999, false},
       {3600, 1, false},
       {0, 0, false},
       {-1, 0, false},
       {1, -1, false},
       {0, 1'000'000'000, false},
       {std::numeric_limits<std::int64_t>::max(), 999'999'999, false},
       {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int32_t>::min(), false}}));
  CAPTURE(seconds, nanos);
  WireReader in;
  const absl::Duration value = in.Time(kRoot, seconds, nanos);
  CHECK(in.ok() == good);
  if (good) CHECK(value == absl::Seconds(seconds) + absl::Nanoseconds(nanos));
}

TEST_CASE("ports are 1 to 65535", "[unit]") {
  for (const std::uint32_t port : {1U, 65535U}) {
    WireReader in;
    CHECK(in.Port(kRoot, port) == port);
    CHECK(in.ok());
  }
  for (const std::uint32_t port : {0U, 65536U, 0xffffffffU}) {
    WireReader in;
    in.Port(kRoot, port);
    CHECK_FALSE(in.ok());
  }
}

TEST_CASE("any text is made fit for the wire", "[unit]") {
  CHECK(WireText("größe", 100) == "größe");
  CHECK(WireText("größe", 3) == "gr");  // never half a character
  CHECK(WireText("a\xff\xc3", 100) == "a??");
  CHECK(WireText("\xed\xa0\x80", 100) == "???");       // a surrogate
  CHECK(WireText("\xf4\x90\x80\x80", 100) == "????");  // past U+10FFFF
  CHECK(WireText("\xc0\x80", 100) == "??");            // overlong
  CHECK(WireText("\xf0\x9f\x9a\xa2", 100) == "\xf0\x9f\x9a\xa2");
  CHECK(WireName("a\nb\x7f") == "a?b?");
  CHECK(WireName(std::string(300, 'n')).size() == 253);
  CHECK(WireMessage(std::string(3000, 'n')).size() == 1024);
}

}  // namespace
}  // namespace berth::sync
