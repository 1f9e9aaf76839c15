// SPDX-License-Identifier: Apache-2.0
#include "common/base/build_info.h"

#include <catch2/catch.hpp>

#include "common/base/duration_flag.h"

namespace berth {
namespace {

TEST_CASE("a binary knows its version and commit", "[unit]") {
  CHECK(std::string(BuildVersion()).find_first_not_of("0123456789.") == std::string::npos);
  CHECK_FALSE(BuildVersion().empty());
  CHECK_FALSE(BuildCommit().empty());
}

TEST_CASE("durations of flags are read with their units", "[unit]") {
  CHECK(*ParseDuration("200ms") == absl::Milliseconds(200));
  CHECK(*ParseDuration("1m30s") == absl::Seconds(90));
  CHECK(*ParseDuration("0") == absl::ZeroDuration());
}

TEST_CASE("a duration that makes no sense is refused with its text", "[unit]") {
  const std::string text = GENERATE("", "5", "200 ms", "-3s", "inf", "soon");
  CAPTURE(text);
  const absl::StatusOr<absl::Duration> parsed = ParseDuration(text);
  REQUIRE(absl::IsInvalidArgument(parsed.status()));
  CHECK_THAT(std::string(parsed.status().message()), Catch::Contains("\"" + text + "\""));
}

}  // namespace
}  // namespace berth
