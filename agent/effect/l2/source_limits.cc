// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/source_limits.h"

#include <algorithm>

namespace berth::agent {
namespace {

// A bucket of kBurst tokens, kept as the time at which it would be full: each answer puts that off by kEach (the
// "generic cell rate algorithm", ITU-T I.371).
constexpr std::int64_t kEach = 1'000'000'000 / SourceLimits::kPerSecond;
constexpr std::int64_t kMostOwed = SourceLimits::kBurst * kEach;

std::uint64_t Number(const MacAddr& mac) {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : mac.bytes()) number = number << 8 | byte;
  return number;
}

std::size_t SetOf(std::uint64_t source) {
  constexpr std::uint64_t kMix = 0x9e3779b97f4a7c15;  // 2^64 over the golden ratio: MACs in a row fall apart
  static_assert(SourceLimits::kSets == 256);
  return static_cast<std::size_t>(source * kMix >> 56);
}

}  // namespace

SourceLimits::Account& SourceLimits::AccountOf(std::uint64_t source) {
  auto& accounts = sets_[SetOf(source)].accounts;
  Account* least = accounts.data();
  for (Account& each : accounts) {
    if (each.source == source) return each;
    if (each.paid_up_ns < least->paid_up_ns) least = &each;
  }
  *least = {source, 0};
  return *least;
}

bool SourceLimits::Admit(const MacAddr& source, std::int64_t now_ns) {
  Account& account = AccountOf(Number(source));
  const std::int64_t owed = account.paid_up_ns - now_ns;
  if (owed > kMostOwed - kEach && owed <= kMostOwed) return false;
  account.paid_up_ns = (owed > 0 && owed <= kMostOwed ? account.paid_up_ns : now_ns) + kEach;
  return true;
}

}  // namespace berth::agent
