// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/lan_port.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "agent/effect/l2/announce_frames.h"
#include "agent/effect/l2/responder.h"

namespace berth::agent {
namespace {

absl::Span<const std::uint8_t> Bytes(const std::string& frame) {
  return {reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size()};
}

}  // namespace

absl::Status LanPort::Start(Observer& observer) {
  observer_ = &observer;
  return absl::OkStatus();
}

void LanPort::SetInterfaces(const std::vector<PortInterface>& interfaces) {
  std::set<int> wanted;
  for (const PortInterface& interface : interfaces) {
    wanted.insert(interface.index);
    const auto [it, fresh] = open_.try_emplace(interface.index);
    it->second.interface = interface.name;
    if (!fresh) continue;
    process_.Post([this, alive = std::weak_ptr<int>(alive_), index = interface.index] {
      if (!alive.expired() && observer_ != nullptr && open_.contains(index)) observer_->OnInterfaceOpen(index);
    });
  }
  std::erase_if(open_, [&](const auto& entry) { return !wanted.contains(entry.first); });
}

absl::Status LanPort::Send(int ifindex, const std::string& frame) {
  const auto stats = open_.find(ifindex);
  if (process_.dead()) return absl::OkStatus();
  if (stats == open_.end()) return absl::NotFoundError(absl::StrCat("interface ", ifindex, " is not open"));
  const std::optional<IpAddr> announced = AnnouncedBy(Bytes(frame));
  if (announced.has_value() && !Answers(ifindex, *announced)) return absl::OkStatus();
  if (!send_(ifindex, frame)) return absl::UnavailableError(absl::StrCat("interface ", ifindex, " is gone"));
  if (announced.has_value()) ++stats->second.gratuitous;
  return absl::OkStatus();
}

std::vector<PortStats> LanPort::Stats() const {
  std::vector<PortStats> stats;
  for (const auto& [ifindex, s] : open_) stats.push_back(s);
  return stats;
}

void LanPort::Receive(int ifindex, const std::string& frame) {
  if (process_.dead() || !open_.contains(ifindex)) return;
  if (process_.frozen()) {
    waiting_.push_back({process_.Now(), ifindex, frame});
  } else {
    Judge(ifindex, frame, absl::ZeroDuration());
  }
}

void LanPort::CatchUp() {
  for (const Waiting& w : std::exchange(waiting_, {})) Judge(w.ifindex, w.frame, process_.Now() - w.captured);
}

bool LanPort::speaking() const { return !process_.frozen() && !process_.dead() && process_.Now() < answer_until_; }

bool LanPort::Answers(const IpAddr& address) const {
  return std::ranges::any_of(open_, [&](const auto& open) { return Answers(open.first, address); });
}

bool LanPort::Answers(int ifindex, const IpAddr& address) const {
  const auto found = table_->interfaces.find(ifindex);
  return speaking() && found != table_->interfaces.end() && found->second.answer.contains(address);
}

void LanPort::Judge(int ifindex, const std::string& frame, absl::Duration age) {
  static const InterfaceTable kNothing;
  PortStats& stats = open_[ifindex];
  const auto found = table_->interfaces.find(ifindex);
  std::string reply(kMaxReplySize, '\0');
  RespondResult result = Respond(found == table_->interfaces.end() ? kNothing : found->second, Bytes(frame), age,
                                 reinterpret_cast<std::uint8_t*>(reply.data()));
  AnswerStats& answers = result.family == Family::kIpv4 ? stats.arp : stats.ndp;
  answers.requests += result.request ? 1 : 0;
  stats.malformed += result.verdict == Verdict::kMalformed ? 1 : 0;
  stats.stale += result.verdict == Verdict::kStale ? 1 : 0;
  if (result.verdict == Verdict::kReply && process_.Now() < answer_until_) {
    ++answers.replies;
    reply.resize(result.reply_size);
    send_(ifindex, reply);
  }
  if (!result.sighting) return;
  result.sighting->ifindex = ifindex;
  process_.Post([this, alive = std::weak_ptr<int>(alive_), sighting = *result.sighting] {
    if (!alive.expired() && observer_ != nullptr) observer_->OnSighting(sighting);
  });
}

}  // namespace berth::agent
