// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/table.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth::ctl {
namespace {

constexpr std::size_t kGap = 3;

std::string CellText(std::string cell) {
  if (cell.empty()) return "<none>";
  std::replace_if(cell.begin(), cell.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); }, ' ');
  return cell;
}

// Characters, not bytes: UTF-8's continuation bytes take no room.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void AppendRow(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths, std::string& out) {
  std::size_t blanks = 0;
  for (std::size_t column = 0; column < cells.size(); ++column) {
    out.append(blanks, ' ');
    out += cells[column];
    blanks = widths[column] - Width(cells[column]) + kGap;
  }
  out += '\n';
}

}  // namespace

std::string FormatTable(const Table& table) {
  std::vector<std::vector<std::string>> lines = {table.header};
  for (const std::vector<std::string>& row : table.rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (const std::string& cell : row) line.push_back(CellText(cell));
  }
  std::vector<std::size_t> widths(table.header.size(), 0);
  for (const std::vector<std::string>& line : lines) {
    for (std::size_t column = 0; column < widths.size(); ++column) {
      widths[column] = std::max(widths[column], Width(line[column]));
    }
  }
  std::string out;
  for (const std::vector<std::string>& line : lines) AppendRow(line, widths, out);
  return out;
}

std::string FormatAge(absl::Duration age) {
  const std::int64_t seconds = std::max<std::int64_t>(0, absl::ToInt64Seconds(age));
  const std::int64_t minutes = seconds / 60;
  const std::int64_t hours = minutes / 60;
  const std::int64_t days = hours / 24;
  // Two units while the smaller one still tells something, as kubectl does.
  const auto two = [](std::int64_t big, const char* big_unit, std::int64_t small, const char* small_unit) {
    return small == 0 ? absl::StrCat(big, big_unit) : absl::StrCat(big, big_unit, small, small_unit);
  };
  if (seconds < 120) return absl::StrCat(seconds, "s");
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
  if (hours < 3) return absl::StrCat(minutes, "m");
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return absl::StrCat(hours, "h");
  if (days < 8) return two(days, "d", hours % 24, "h");
  return absl::StrCat(days, "d");
}

std::string Comma(const std::vector<std::string>& parts) { return absl::StrJoin(parts, ","); }

}  // namespace berth::ctl
