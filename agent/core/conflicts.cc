// SPDX-License-Identifier: Apache-2.0
#include "agent/core/conflicts.h"

#include <algorithm>

namespace berth::agent {

Conflicts::Verdict Conflicts::Seen(const IpAddr& address, const std::string& interface, const MacAddr& mac,
                                   absl::Time now) {
  Contested& contested = contested_[address];
  const bool fresh = !contested.claims.contains(mac) && contested.claims.size() < kMostPerAddress;
  if (fresh || contested.claims.contains(mac)) contested.claims[mac] = {interface, now};
  next_ = std::min(next_, now + kForgetAfter);
  const bool defend = now - contested.defended >= kDefendInterval;
  if (defend) contested.defended = now;
  return {.fresh = fresh, .defend = defend};
}

bool Conflicts::Drop(const IpAddr& address) { return contested_.erase(address) > 0; }

bool Conflicts::Expire(absl::Time now) {
  if (now < next_) return false;
  std::size_t forgotten = 0;
  next_ = absl::InfiniteFuture();
  for (auto& [address, contested] : contested_) {
    forgotten +=
        std::erase_if(contested.claims, [&](const auto& c) { return c.second.last_seen + kForgetAfter <= now; });
    for (const auto& [mac, claim] : contested.claims) next_ = std::min(next_, claim.last_seen + kForgetAfter);
  }
  std::erase_if(contested_, [](const auto& c) { return c.second.claims.empty(); });
  return forgotten > 0;
}

std::vector<sync::Conflict> Conflicts::list() const {
  std::vector<sync::Conflict> list;
  for (const auto& [address, contested] : contested_) {
    for (const auto& [mac, claim] : contested.claims) list.push_back({address, claim.interface, mac});
  }
  return list;
}

}  // namespace berth::agent
