// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/table.h -- columns for people, as kubectl prints them. Pure.
#ifndef BERTH_TOOLS_BERTHCTL_TABLE_H_
#define BERTH_TOOLS_BERTHCTL_TABLE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace berth::ctl {

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // each as long as the header
};

// One line a row, the header first; three blanks between columns, none at a line's end. An empty cell reads "<none>",
// control characters become blanks, so that a row stays one line.
std::string FormatTable(const Table& table);

// kubectl's way: "7s", "3m12s", "5h", "2d3h", "40d". Below zero, which is clocks that differ, counts as zero.
std::string FormatAge(absl::Duration age);

// "a,b,c"
std::string Comma(const std::vector<std::string>& parts);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_TABLE_H_
