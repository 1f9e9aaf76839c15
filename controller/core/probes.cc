// SPDX-License-Identifier: Apache-2.0
#include "controller/core/probes.h"

#include "absl/strings/str_cat.h"

namespace berth::core {
namespace {

// Beyond the probe itself: the way to the agent and back, and its own pacing of many probes.
constexpr absl::Duration kGrace = absl::Seconds(2);

void Answer(const std::vector<Probes::Done>& waiting, const sync::ProbeAnswer& answer) {
  for (const Probes::Done& done : waiting) done(answer);
}

}  // namespace

void Probes::Ask(const std::string& node, sync::ProbeKind kind, const IpAddr& address, const std::string& interface,
                 Done done) {
  Batch& batch = batches_[{node, kind}];
  std::vector<Done>& waiting = batch.waiting[address];
  if (waiting.empty()) batch.targets.push_back({address, interface});
  waiting.push_back(std::move(done));
}

void Probes::Flush() {
  auto batches = std::exchange(batches_, {});
  for (auto& [key, batch] : batches) {
    const auto& [node, kind] = key;
    const std::uint64_t id = ++last_id_;
    Request& request = requests_[id];
    request.node = node;
    request.waiting = std::move(batch.waiting);
    const Agent* agent = agents_.Find(node);
    if (agent == nullptr || !agent->connected()) {
      // Told in the next turn, so that nobody is called back from within the decision that asked.
      request.limit = ctx_.After(absl::ZeroDuration(), [this, id] { Fail(id, "its agent is not connected"); });
      continue;
    }
    const absl::Duration timeout =
        kind == sync::ProbeKind::kNewAddress ? ctx_.options.new_address_probe : ctx_.options.takeover_probe;
    request.limit = ctx_.After(timeout + kGrace, [this, id] { Fail(id, "its agent did not report in time"); });
    ctx_.Emit(SendToAgent{agent->stream, sync::ProbeRequest{ctx_.term, id, kind, timeout, std::move(batch.targets)}});
  }
}

void Probes::OnResult(const std::string& node, const sync::ProbeResult& result) {
  auto it = requests_.find(result.id);
  if (it == requests_.end() || it->second.node != node) return;
  Request request = std::move(it->second);
  requests_.erase(it);
  ctx_.timers.Cancel(request.limit);
  // Answered ones first: that a node answers for one address bears on what silence about its others means.
  for (const bool answered : {true, false}) {
    for (const sync::ProbeAnswer& answer : result.answers) {
      if (answer.macs.empty() == answered) continue;
      auto waiting = request.waiting.extract(answer.address);
      if (!waiting.empty()) Answer(waiting.mapped(), answer);
    }
  }
  for (const auto& [address, waiting] : request.waiting) {
    Answer(waiting, {address, false, {}, absl::StrCat("node ", node, " left the address out of its report")});
  }
}

void Probes::OnAgentGone(const std::string& node, const std::string& why) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, request] : requests_) {
    if (request.node == node) ids.push_back(id);
  }
  for (std::uint64_t id : ids) Fail(id, why);
}

void Probes::Fail(std::uint64_t id, const std::string& why) {
  auto it = requests_.find(id);
  if (it == requests_.end()) return;
  const Request request = std::move(it->second);
  requests_.erase(it);
  ctx_.timers.Cancel(request.limit);
  for (const auto& [address, waiting] : request.waiting) {
    Answer(waiting, {address, false, {}, absl::StrCat("node ", request.node, ": ", why)});
  }
}

void Probes::Forget() {
  for (const auto& [id, request] : requests_) ctx_.timers.Cancel(request.limit);
  requests_.clear();
  batches_.clear();
}

}  // namespace berth::core
