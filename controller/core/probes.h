// SPDX-License-Identifier: Apache-2.0
// controller/core/probes.h -- questions to the LAN, asked through agents: does anybody answer for this address?
//
// Questions of one turn to one agent travel in one ProbeRequest. Each question is answered exactly once: by the agent,
// or as "not probed" when the agent is lost or does not reply in time. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_PROBES_H_
#define BERTH_CONTROLLER_CORE_PROBES_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/sync/messages.h"
#include "controller/core/agents.h"
#include "controller/core/context.h"

namespace berth::core {

class Probes {
 public:
  using Done = std::function<void(const sync::ProbeAnswer&)>;

  Probes(Context& context, Agents& agents) : ctx_(context), agents_(agents) {}

  // `done` is called later, never from within Ask.
  void Ask(const std::string& node, sync::ProbeKind kind, const IpAddr& address, const std::string& interface,
           Done done);
  // All of `targets`, which may be none, in one request. `done` is called later, once: with the answers, or with none
  // at all when they could not be had.
  using DoneTogether = std::function<void(const std::vector<sync::ProbeAnswer>&)>;
  void AskTogether(const std::string& node, sync::ProbeKind kind, std::vector<sync::ProbeTarget> targets,
                   DoneTogether done);
  void Flush();
  void OnResult(const std::string& node, const sync::ProbeResult& result);
  void OnAgentGone(const std::string& node, const std::string& why);
  void Forget();  // a term ended: nobody waits for the answers any more

 private:
  struct Request {
    std::string node;
    std::map<IpAddr, std::vector<Done>> waiting;
    DoneTogether together;
    TimerQueue::Id limit = 0;
  };
  void Send(const std::string& node, sync::ProbeKind kind, std::vector<sync::ProbeTarget> targets, Request request);
  absl::Duration TimeoutOf(sync::ProbeKind kind) const;
  void Fail(std::uint64_t id, const std::string& why);

  Context& ctx_;
  Agents& agents_;
  std::uint64_t last_id_ = 0;
  struct Batch {
    std::vector<sync::ProbeTarget> targets;
    std::map<IpAddr, std::vector<Done>> waiting;
  };
  std::map<std::pair<std::string, sync::ProbeKind>, Batch> batches_;
  struct Together {
    std::string node;
    sync::ProbeKind kind;
    std::vector<sync::ProbeTarget> targets;
    DoneTogether done;
  };
  std::vector<Together> together_;
  std::map<std::uint64_t, Request> requests_;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_PROBES_H_
