// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/arrivals.h"

#include <cstddef>

#include "absl/strings/str_cat.h"

namespace berth::ctl {
namespace {

constexpr std::size_t kNamed = 10;

}  // namespace

std::string Arrivals::Take(const v1::Change& change) {
  if (!change.has_address()) return "";
  const v1::Address& address = change.address();
  const auto it = awaited_.find(address.address());
  if (it == awaited_.end()) return "";
  if (change.kind() == v1::Change::GONE) {
    awaited_.erase(it);
    return absl::StrCat(address.address(), " was released meanwhile");
  }
  const Goal& goal = it->second;
  if (!HasHolder(address) || (address.holder() == goal.node) != goal.at) return "";
  awaited_.erase(it);
  return absl::StrCat(address.address(), " moved to ", address.holder());
}

std::string Arrivals::Missing() const {
  std::string text;
  std::size_t named = 0;
  for (const auto& [address, goal] : awaited_) {
    if (named == kNamed) {
      absl::StrAppend(&text, " and ", awaited_.size() - kNamed, " others");
      break;
    }
    absl::StrAppend(&text, named++ == 0 ? "" : ", ", address);
  }
  return text;
}

}  // namespace berth::ctl
