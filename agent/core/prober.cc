// SPDX-License-Identifier: Apache-2.0
#include "agent/core/prober.h"

#include <algorithm>

namespace berth::agent {
namespace {

int RequestsOf(sync::ProbeKind kind) { return kind == sync::ProbeKind::kTakeOver ? 2 : 3; }

}  // namespace

bool Prober::Start(const Id& id, sync::ProbeKind kind, absl::Duration timeout, const std::vector<Target>& targets,
                   std::vector<sync::ProbeAnswer> known) {
  const auto [it, fresh] = rounds_.try_emplace(id);
  if (!fresh) return false;
  Running& round = it->second;
  round.kind = kind;
  round.timeout = std::max(timeout, absl::Milliseconds(1));
  round.known = std::move(known);
  round.open = targets.size();
  for (const Target& t : targets) {
    const Slot slot{id, round.asked.size()};
    round.asked.push_back(
        {.answer = {.address = t.address, .probed = true, .macs = {}, .message = {}}, .ifindex = t.ifindex});
    by_key_[{t.ifindex, t.address}].push_back(slot);
    firsts_.push_back(slot);
  }
  changed_ = changed_ || !targets.empty();
  return true;
}

template <typename Pred>
void Prober::CancelIf(const Pred& pred) {
  const auto gone = [&](const Slot& slot) { return pred(slot.first); };
  const std::size_t before = rounds_.size();
  std::erase_if(rounds_, [&](const auto& r) { return pred(r.first); });
  if (rounds_.size() == before) return;
  changed_ = true;
  std::erase_if(firsts_, gone);
  std::erase_if(repeats_, [&](const auto& r) { return gone(r.second); });
  std::erase_if(deadlines_, [&](const auto& d) { return gone(d.second); });
  for (auto& [key, slots] : by_key_) std::erase_if(slots, gone);
  absl::erase_if(by_key_, [](const auto& k) { return k.second.empty(); });
  if (by_key_.empty()) by_key_ = decltype(by_key_)();  // erasing keeps the room of the largest round
}

void Prober::CancelForLeader() {
  CancelIf([](const Id& id) { return id.term != 0; });
}
void Prober::CancelOwn() {
  CancelIf([](const Id& id) { return id.term == 0; });
}

void Prober::Finish(Running& round, Asked& asked) {
  if (std::exchange(asked.done, true)) return;
  --round.open;
}

void Prober::PortFailed(int ifindex, const std::string& why) {
  for (auto& [id, round] : rounds_) {
    for (Asked& asked : round.asked) {
      if (asked.ifindex != ifindex || asked.done) continue;
      asked.answer.probed = !asked.answer.macs.empty();
      asked.answer.message = why;
      Finish(round, asked);
    }
  }
}

void Prober::Heard(int ifindex, const IpAddr& address, const MacAddr& mac) {
  const auto it = by_key_.find({ifindex, address});
  if (it == by_key_.end()) return;
  for (const Slot& slot : it->second) {
    Running& round = rounds_.at(slot.first);
    Asked& asked = round.asked[slot.second];
    // Before the first request is out nobody can have been moved by it to answer, but a claim is a claim.
    if (asked.done) continue;
    if (std::find(asked.answer.macs.begin(), asked.answer.macs.end(), mac) == asked.answer.macs.end()) {
      asked.answer.macs.push_back(mac);
    }
    if (round.kind == sync::ProbeKind::kTakeOver) Finish(round, asked);
  }
}

std::vector<Prober::Target> Prober::Take(absl::Time now) {
  std::vector<Target> ask;
  const auto send = [&](const Slot& slot) {
    Running& round = rounds_.at(slot.first);
    Asked& asked = round.asked[slot.second];
    if (asked.done) return;
    ask.push_back({asked.answer.address, asked.ifindex});
    if (asked.sent++ == 0) {
      asked.deadline = now + round.timeout;
      deadlines_.insert({asked.deadline, slot});
    }
    const int all = RequestsOf(round.kind);
    if (asked.sent < all) repeats_.insert({asked.deadline - round.timeout + round.timeout * asked.sent / all, slot});
  };
  while (!firsts_.empty() && pace_.Take(now)) {
    const Slot slot = firsts_.front();
    firsts_.pop_front();
    send(slot);
  }
  while (!repeats_.empty() && repeats_.begin()->first <= now && pace_.Take(now)) {
    const Slot slot = repeats_.begin()->second;
    repeats_.erase(repeats_.begin());
    send(slot);
  }
  return ask;
}

std::vector<Prober::Round> Prober::Finished(absl::Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const Slot slot = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    Running& round = rounds_.at(slot.first);
    Finish(round, round.asked[slot.second]);
  }
  std::vector<Round> finished;
  for (const auto& [id, round] : rounds_) {
    if (round.open > 0) continue;
    Round& out = finished.emplace_back(Round{id, round.known});
    for (const Asked& asked : round.asked) out.answers.push_back(asked.answer);
  }
  if (finished.empty()) return finished;
  CancelIf([&](const Id& id) {
    return std::any_of(finished.begin(), finished.end(), [&](const Round& r) { return r.id == id; });
  });
  return finished;
}

absl::Time Prober::Next(absl::Time now) const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [id, round] : rounds_) {
    if (round.open == 0) return now;
  }
  if (!firsts_.empty()) next = std::min(next, pace_.Next(now));
  if (!repeats_.empty()) next = std::min(next, std::max(repeats_.begin()->first, pace_.Next(now)));
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  return next;
}

bool Prober::InCensus(int ifindex, const IpAddr& address) const {
  const auto it = by_key_.find({ifindex, address});
  return it != by_key_.end() && std::any_of(it->second.begin(), it->second.end(), [&](const Slot& slot) {
           return rounds_.at(slot.first).kind == sync::ProbeKind::kCensus;
         });
}

std::vector<Prober::Target> Prober::watched() const {
  std::vector<Target> watched;
  watched.reserve(by_key_.size());
  for (const auto& [key, slots] : by_key_) watched.push_back({key.second, key.first});
  return watched;
}

}  // namespace berth::agent
