// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/arrivals.h"

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::ctl {
namespace {

constexpr std::size_t kNamed = 10;

std::string WhyForgotten(const v1::Address& address, const std::string& node) {
  if (!address.ordered().empty()) return absl::StrCat("another one moves it to ", address.ordered());
  for (const std::string& refusal : address.refusals()) {
    if (absl::StartsWith(refusal, absl::StrCat(node, ": "))) return refusal;
  }
  return address.message().empty() ? "the controller has it no more" : address.message();
}

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
  Goal& goal = it->second;
  if (Forgotten(address, goal)) {
    awaited_.erase(it);
    return "";
  }
  if (!HasHolder(address) || (address.holder() == goal.node) != goal.at) return "";
  awaited_.erase(it);
  return absl::StrCat(address.address(), " moved to ", address.holder());
}

// Whether the controller had the order and has it no more, though the address is elsewhere.
bool Arrivals::Forgotten(const v1::Address& address, Goal& goal) {
  const bool had = goal.ordered;
  goal.ordered = goal.at && address.ordered() == goal.node;
  if (!had || goal.ordered || address.holder() == goal.node) return false;
  forgotten_.push_back(absl::StrCat("the order to move ", address.address(), " to ", goal.node,
                                    " is forgotten: ", WhyForgotten(address, goal.node)));
  return true;
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
