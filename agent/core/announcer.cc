// SPDX-License-Identifier: Apache-2.0
#include "agent/core/announcer.h"

#include <algorithm>

#include "absl/types/span.h"
#include "agent/effect/l2/gratuitous_schedule.h"

namespace berth::agent {
namespace {

absl::Span<const absl::Duration> Offsets(bool renewed) {
  if (renewed) return kRenewedOffsets;
  return kGratuitousOffsets;
}

}  // namespace

void Announcer::Unschedule(const IpAddr& address) {
  const auto it = schedules_.find(address);
  if (it == schedules_.end()) return;
  if (it->second.next == 0) {
    --pending_firsts_;
  } else {
    repeats_.erase({it->second.at, address});
  }
  schedules_.erase(it);
}

void Announcer::Gain(const IpAddr& address) {
  const auto it = schedules_.find(address);
  if (it != schedules_.end() && it->second.next == 0) return;  // waits for its first already
  Unschedule(address);
  schedules_[address] = Schedule{};
  ++pending_firsts_;
  firsts_.push_back(address);
}

void Announcer::Again(const IpAddr& address) { again_.push_back(address); }

void Announcer::Cancel(const IpAddr& address) {
  Unschedule(address);
  std::erase(again_, address);
}

void Announcer::Clear() { *this = Announcer(); }

// Of a series that begins now: whether the address had one lately.
bool Announcer::Renewed(const IpAddr& address, absl::Time now) {
  const auto [last, fresh] = lately_.try_emplace(address);
  last->second = now;
  lately_by_age_.emplace_back(now, address);
  return !fresh;
}

void Announcer::Forget(absl::Time now) {
  while (!lately_by_age_.empty() && now - lately_by_age_.front().first >= kRenewedWithin) {
    const auto& [began, address] = lately_by_age_.front();
    if (const auto last = lately_.find(address); last != lately_.end() && last->second == began) lately_.erase(last);
    lately_by_age_.pop_front();
  }
  if (lately_by_age_.empty() && lately_.capacity() != 0) lately_ = decltype(lately_)();
}

std::vector<Announcer::Due> Announcer::Take(absl::Time now) {
  Forget(now);
  std::vector<Due> due;
  while (!firsts_.empty()) {
    const auto it = schedules_.find(firsts_.front());
    if (it == schedules_.end() || it->second.next != 0) {
      firsts_.pop_front();  // cancelled
      continue;
    }
    if (!pace_.Take(now)) return due;
    Schedule& schedule = it->second;
    const bool renewed = Renewed(firsts_.front(), now);
    schedule = {.gained = now, .renewed = renewed, .next = 1, .at = now + Offsets(renewed)[1]};
    repeats_.insert({schedule.at, firsts_.front()});
    --pending_firsts_;
    due.push_back({firsts_.front(), true});
    firsts_.pop_front();
  }
  while (!again_.empty() && pace_.Take(now)) {
    due.push_back({again_.front(), false});
    again_.pop_front();
  }
  while (!repeats_.empty() && repeats_.begin()->first <= now && pace_.Take(now)) {
    const IpAddr address = repeats_.begin()->second;
    repeats_.erase(repeats_.begin());
    due.push_back({address, false});
    Schedule& schedule = schedules_[address];
    const absl::Span<const absl::Duration> offsets = Offsets(schedule.renewed);
    if (++schedule.next >= offsets.size()) {
      schedules_.erase(address);
      continue;
    }
    // Never two repeats of one address in a row after a pause: what is missed is missed.
    schedule.at = std::max(schedule.gained + offsets[schedule.next], now + Pace::kSlice);
    repeats_.insert({schedule.at, address});
  }
  if (schedules_.empty()) schedules_ = decltype(schedules_)();  // erasing keeps the room of the largest burst
  return due;
}

absl::Time Announcer::Next(absl::Time now) const {
  if (pending_firsts_ > 0 || !again_.empty()) return pace_.Next(now);
  if (repeats_.empty()) return absl::InfiniteFuture();
  return std::max(repeats_.begin()->first, pace_.Next(now));
}

}  // namespace berth::agent
