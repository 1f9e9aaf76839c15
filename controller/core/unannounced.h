// SPDX-License-Identifier: Apache-2.0
// controller/core/unannounced.h -- which Services have had a layer 2 address that nobody announces for a while, and why
// (condition berth.io/Announced).
//
// The whole present set is said, at most once a second and only when it is another than was said before; the source
// compares it with what it has on record. So a healthy Service costs nothing, and a new leader needs no memory of the
// former one. While no agent at all is in contact nothing new is said: agents go on without a controller, and if they
// do not, it is no single Service's trouble. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_UNANNOUNCED_H_
#define BERTH_CONTROLLER_CORE_UNANNOUNCED_H_

#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "controller/core/agents.h"
#include "controller/core/context.h"
#include "controller/core/holders.h"
#include "controller/model/source.h"

namespace berth::core {

class Unannounced {
 public:
  Unannounced(Context& context, const Agents& agents, const Holders& holders)
      : ctx_(context), agents_(agents), holders_(holders) {}

  // Decisions are made from now on (the start gate opened), or are not any more.
  void Begin();
  void End();
  // Who holds `address` may be another now.
  void Note(const IpAddr& address);

 private:
  struct Entry {
    absl::Time since;
    std::string why;  // once it has lasted; the same until it ends, so that nodes that come and go cost no writes
  };
  void Check();
  void CheckAt(absl::Time at);

  Context& ctx_;
  const Agents& agents_;
  const Holders& holders_;
  std::map<IpAddr, Entry> entries_;
  absl::Time begun_;
  std::optional<model::UnannouncedServices> said_;  // in this term
  TimerQueue::Id timer_ = 0;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_UNANNOUNCED_H_
