// SPDX-License-Identifier: Apache-2.0
// agent/core/conflicts.h -- strangers who claim addresses of ours: who, since when, and when to defend. Pure.
#ifndef BERTH_AGENT_CORE_CONFLICTS_H_
#define BERTH_AGENT_CORE_CONFLICTS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"
#include "common/sync/messages.h"

namespace berth::agent {

class Conflicts {
 public:
  static constexpr absl::Duration kDefendInterval = absl::Seconds(10);  // RFC 5227 section 1.1
  static constexpr absl::Duration kForgetAfter = absl::Seconds(30);     // without hearing it again
  static constexpr std::size_t kMostPerAddress = 8;  // strangers remembered; who makes up MACs finds an end here

  struct Verdict {
    bool fresh = false;   // not known before
    bool defend = false;  // this address was not defended within kDefendInterval
  };
  Verdict Seen(const IpAddr& address, const std::string& interface, const MacAddr& mac, absl::Time now);
  // Forgets what concerns `address`: we do not claim it any more. True when there was something.
  bool Drop(const IpAddr& address);
  // Forgets what was not heard of for kForgetAfter. True when there was something.
  bool Expire(absl::Time now);
  absl::Time Next() const { return next_; }  // of Expire; InfiniteFuture when there is nothing

  std::vector<sync::Conflict> list() const;  // sorted by address, then MAC

 private:
  struct Claim {
    std::string interface;
    absl::Time last_seen;
  };
  struct Contested {
    absl::Time defended = absl::InfinitePast();
    std::map<MacAddr, Claim> claims;
  };
  std::map<IpAddr, Contested> contested_;     // those with claims only; few
  absl::Time next_ = absl::InfiniteFuture();  // no claim expires before
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_CONFLICTS_H_
