// SPDX-License-Identifier: Apache-2.0
// agent/core/prober.h -- asks the LAN who has an address, many at a time, and gathers the answers. Pure; knows no
// frame.
#ifndef BERTH_AGENT_CORE_PROBER_H_
#define BERTH_AGENT_CORE_PROBER_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "agent/core/pace.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"
#include "common/sync/messages.h"

namespace berth::agent {

class Prober {
 public:
  static constexpr std::size_t kFramesPerSlice = 500;

  struct Id {                // of one round of probes
    std::uint64_t term = 0;  // 0: the agent asks for itself
    std::uint64_t number = 0;
    friend auto operator<=>(const Id&, const Id&) = default;
  };
  struct Target {
    IpAddr address;
    int ifindex = 0;
  };
  using Key = std::pair<int, IpAddr>;  // interface and address
  struct Round {
    Id id;
    std::vector<sync::ProbeAnswer> answers;  // in the order of the request
  };

  // kNewAddress, kCensus: three requests spread over `timeout`, which is waited for whatever is heard. kTakeOver: two,
  // and an address is done with its first answer. `timeout` counts for each address from its own first request. `known`
  // are answers that need no asking; they come first in the result. False when such a round is under way already.
  bool Start(const Id& id, sync::ProbeKind kind, absl::Duration timeout, const std::vector<Target>& targets,
             std::vector<sync::ProbeAnswer> known);
  // Forgets rounds that were asked for by a leader, or by the agent itself.
  void CancelForLeader();
  void CancelOwn();

  // Somebody with `mac` claims `address` on that interface.
  void Heard(int ifindex, const IpAddr& address, const MacAddr& mac);
  // The interface cannot be listened on: what is open on it is answered as not probed, unless somebody was heard.
  void PortFailed(int ifindex, const std::string& why);
  // Whom to ask now, in order; call again at Next().
  std::vector<Target> Take(absl::Time now);
  // Rounds that are complete, each returned once.
  std::vector<Round> Finished(absl::Time now);
  absl::Time Next(absl::Time now) const;  // InfiniteFuture when nothing is under way

  // Whether everybody who has `address` is being asked for, not just anybody.
  bool InCensus(int ifindex, const IpAddr& address) const;

  // Which frames to look out for. `changed()` tells once whether it differs from the last time it was asked.
  std::vector<Target> watched() const;
  bool TakeChanged() { return std::exchange(changed_, false); }

 private:
  struct Asked {
    sync::ProbeAnswer answer;
    int ifindex = 0;
    int sent = 0;
    absl::Time deadline = absl::InfiniteFuture();  // known once the first request is out
    bool done = false;
  };
  struct Running {
    sync::ProbeKind kind = sync::ProbeKind::kNewAddress;
    absl::Duration timeout;
    std::vector<Asked> asked;
    std::size_t open = 0;  // not done
    std::vector<sync::ProbeAnswer> known;
  };
  using Slot = std::pair<Id, std::size_t>;  // a target of a round

  void Finish(Running& round, Asked& asked);
  template <typename Pred>
  void CancelIf(const Pred& pred);

  std::map<Id, Running> rounds_;
  std::deque<Slot> firsts_;
  std::set<std::pair<absl::Time, Slot>> repeats_, deadlines_;
  absl::flat_hash_map<Key, std::vector<Slot>> by_key_;
  bool changed_ = false;
  Pace pace_{kFramesPerSlice};
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_PROBER_H_
