// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/table.h"

#include <catch2/catch.hpp>

namespace berth::ctl {
namespace {

TEST_CASE("columns are as wide as their widest cell, and no line ends in blanks", "[unit]") {
  CHECK(FormatTable({{"NAME", "CIDR", "USAGE", "TOTAL"},
                     {{"eip-pool", "192.168.50.50-192.168.50.60", "1", "11"}, {"b", "10.0.0.1", "0", "1"}}}) ==
        "NAME       CIDR                          USAGE   TOTAL\n"
        "eip-pool   192.168.50.50-192.168.50.60   1       11\n"
        "b          10.0.0.1                      0       1\n");
}

TEST_CASE("a table without rows is its header", "[unit]") { CHECK(FormatTable({{"A", "B"}, {}}) == "A   B\n"); }

TEST_CASE("an empty cell can be seen, and a row is always one line", "[unit]") {
  CHECK(FormatTable({{"A", "B"}, {{"", "x\ny\x1b[0m"}}}) == "A        B\n<none>   x y [0m\n");
}

TEST_CASE("characters are counted, not bytes", "[unit]") {
  CHECK(FormatTable({{"A", "B"}, {{"\xc3\xa4\xc3\xb6\xc3\xbc", "1"}, {"abcd", "2"}}}) ==
        "A      B\n\xc3\xa4\xc3\xb6\xc3\xbc    1\nabcd   2\n");
}

TEST_CASE("ages read as kubectl's do", "[unit]") {
  const auto age = GENERATE(table<int, std::string>({
      {-5, "0s"},
      {0, "0s"},
      {119, "119s"},
      {120, "2m"},
      {192, "3m12s"},
      {3599, "59m"},
      {2 * 3600, "120m"},
      {3 * 3600, "3h"},
      {5 * 3600 + 60, "5h1m"},
      {47 * 3600, "47h"},
      {48 * 3600, "2d"},
      {51 * 3600, "2d3h"},
      {40 * 86400, "40d"},
  }));
  CHECK(FormatAge(absl::Seconds(std::get<0>(age))) == std::get<1>(age));
}

}  // namespace
}  // namespace berth::ctl
