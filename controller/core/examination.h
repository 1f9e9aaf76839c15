// SPDX-License-Identifier: Apache-2.0
// controller/core/examination.h -- has every agent look at its node, and ask the LAN who answers for what is announced.
//
// An address that is on its way to another holder has no one right answer, so only those at rest are asked about, each
// by two agents: a kernel that answers is not heard by its own node. Where there are more addresses than kMost, the
// next examination goes on behind the last one. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_EXAMINATION_H_
#define BERTH_CONTROLLER_CORE_EXAMINATION_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controller/core/agents.h"
#include "controller/core/context.h"
#include "controller/core/holders.h"
#include "controller/core/probes.h"
#include "controller/model/views.h"

namespace berth::core {

class Examination {
 public:
  static constexpr std::size_t kMost = 256;

  Examination(Context& context, const Agents& agents, const Holders& holders, Probes& probes)
      : ctx_(context), agents_(agents), holders_(holders), probes_(probes) {}

  // Ends by an Examined, within a second; at once where nothing may be asked. While one is under way: nothing.
  void Begin();
  // Decisions are not ours any more: ends with what has been answered.
  void Abandon();

 private:
  struct Asked {
    std::string holder;
    absl::Time since;  // of the holding
    std::vector<model::LanAnswer> answers;
  };
  bool AtRest(const Holding& h) const;
  std::vector<const Holding*> Choose();
  std::vector<std::string> AskersFor(const IpAddr& address, const std::string& interface,
                                     const std::string& holder) const;
  void OnAnswers(const std::string& node, const std::vector<sync::ProbeAnswer>& answers);
  void FinishIfDone();
  void Finish();

  Context& ctx_;
  const Agents& agents_;
  const Holders& holders_;
  Probes& probes_;
  IpAddr cursor_;  // the last that was asked about
  bool running_ = false;
  bool settled_ = false;  // there was time enough for reports of agents that have nothing to ask
  std::size_t announced_ = 0;
  std::map<IpAddr, Asked> asked_;
  std::set<std::string> awaited_;  // nodes
  TimerQueue::Id settle_timer_ = 0, deadline_timer_ = 0;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_EXAMINATION_H_
