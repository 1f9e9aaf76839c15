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

void Probes::AskTogether(const std::string& node, sync::ProbeKind kind, std::vector<sync::ProbeTarget> targets,
                         DoneTogether done) {
  together_.push_back({node, kind, std::move(targets), std::move(done)});
}

void Probes::Flush() {
  for (auto& [key, batch] : std::exchange(batches_, {})) {
    Request request;
    request.waiting = std::move(batch.waiting);
    Send(key.first, key.second, std::move(batch.targets), std::move(request));
  }
  for (Together& asked : std::exchange(together_, {})) {
    Request request;
    request.together = std::move(asked.done);
    Send(asked.node, asked.kind, std::move(asked.targets), std::move(request));
  }
}

absl::Duration Probes::TimeoutOf(sync::ProbeKind kind) const {
  switch (kind) {
    case sync::ProbeKind::kNewAddress:
      return ctx_.options.new_address_probe;
    case sync::ProbeKind::kTakeOver:
      return ctx_.options.takeover_probe;
    case sync::ProbeKind::kCensus:
      return ctx_.options.census_probe;
  }
  return ctx_.options.new_address_probe;
}

void Probes::Send(const std::string& node, sync::ProbeKind kind, std::vector<sync::ProbeTarget> targets,
                  Request request) {
  const std::uint64_t id = ++last_id_;
  request.node = node;
  const Agent* agent = agents_.Find(node);
  if (agent == nullptr || !agent->connected()) {
    // Told in the next turn, so that nobody is called back from within the decision that asked.
    request.limit = ctx_.After(absl::ZeroDuration(), [this, id] { Fail(id, "its agent is not connected"); });
  } else {
    const absl::Duration timeout = TimeoutOf(kind);
    request.limit = ctx_.After(timeout + kGrace, [this, id] { Fail(id, "its agent did not report in time"); });
    ctx_.Emit(SendToAgent{agent->stream, sync::ProbeRequest{ctx_.term, id, kind, timeout, std::move(targets)}});
  }
  requests_.emplace(id, std::move(request));
}

void Probes::OnResult(const std::string& node, const sync::ProbeResult& result) {
  auto it = requests_.find(result.id);
  if (it == requests_.end() || it->second.node != node) return;
  Request request = std::move(it->second);
  requests_.erase(it);
  ctx_.timers.Cancel(request.limit);
  if (request.together) request.together(result.answers);
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
  if (request.together) request.together({});
  for (const auto& [address, waiting] : request.waiting) {
    Answer(waiting, {address, false, {}, absl::StrCat("node ", request.node, ": ", why)});
  }
}

void Probes::Forget() {
  for (const auto& [id, request] : requests_) ctx_.timers.Cancel(request.limit);
  requests_.clear();
  batches_.clear();
  together_.clear();
}

}  // namespace berth::core
