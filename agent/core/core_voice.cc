// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "agent/core/core_impl.h"
#include "agent/effect/l2/announce_frames.h"

namespace berth::agent {

using sync::Role;

namespace {
constexpr absl::Duration kLeaderSpeaks = absl::Seconds(4);      // a new leader listens for 3 s before its first word
constexpr absl::Duration kLookAgain = absl::Milliseconds(200);  // for that word
}  // namespace

absl::string_view MuteName(Mute mute) {
  switch (mute) {
    case Mute::kNone:
      return "not muted";
    case Mute::kUnconfirmed:
      return "known from disk only";
    case Mute::kFrozen:
      return "this agent stood still";
    case Mute::kAway:
      return "it could not be announced here";
    case Mute::kRival:
      return "another candidate claims it";
    case Mute::kYielded:
      return "its successor claims it";
  }
  return "unknown";
}

bool AgentCore::Impl::MaySpeak(const Entry& entry) const {
  return entry.assignment.role == Role::kAnnounce && entry.mute == Mute::kNone && entry.problem == nullptr &&
         entry.established && entry.where != nullptr;
}

void AgentCore::Impl::UpdateVoice(Entry& entry) {
  if (!MaySpeak(entry)) return Hush(entry);
  if (entry.continued) return SpeakOn(entry);
  if (entry.voice != Voice::kSilent && *entry.port == *entry.where) return;
  if (entry.voice == Voice::kSpeaking) {  // the interface, or its MAC, is another one now: tell the LAN again
    table_dirty_ = announced_dirty_ = true;
  } else {
    entry.voice = Voice::kQueued;
  }
  entry.port = entry.where;
  announcer_.Gain(entry.assignment.address);
}

// What an older agent of this node has said so far with the same MAC. It ends once this one says that it answers, which
// must be true by then.
void AgentCore::Impl::SpeakOn(Entry& entry) {
  if (!ports_open_.contains(entry.where->index)) return;
  entry.continued = false;
  entry.port = entry.where;
  entry.voice = Voice::kSpeaking;
  table_dirty_ = announced_dirty_ = true;
  WriteAddress("address is announced, as by an older agent before", entry.assignment.address, "interface",
               entry.port->name);
}

void AgentCore::Impl::Hush(Entry& entry) {
  if (entry.voice == Voice::kSilent) return;
  const IpAddr& address = entry.assignment.address;
  announcer_.Cancel(address);
  if (conflicts_.Drop(address)) conflicts_dirty_ = true;
  if (entry.voice == Voice::kSpeaking) {
    table_dirty_ = announced_dirty_ = announced_urgent_ = true;
    WriteAddress("address is no longer announced", address, "why",
                 entry.problem != nullptr                   ? absl::string_view(entry.problem->message)
                 : entry.mute != Mute::kNone                ? MuteName(entry.mute)
                 : entry.assignment.role == Role::kAnnounce ? absl::string_view("it is taken away")
                                                            : absl::string_view("the controller muted it"));
  }
  entry.voice = Voice::kSilent;
}

// Falls silent until a leader's word, or `decide_at`.
void AgentCore::Impl::MuteEntry(Entry& entry, Mute mute, absl::Time decide_at) {
  const IpAddr& address = entry.assignment.address;
  decisions_.erase({entry.decide_at, address});
  entry.mute = mute;
  entry.continued = false;
  if (Chained(entry.group.get())) {  // then the seat decides
    entry.seat = peer::Seat::Pausing(decide_at);
    chain_next_ = std::min(chain_next_, decide_at);
    decide_at = absl::InfiniteFuture();
  }
  entry.decide_at = decide_at;
  if (decide_at != absl::InfiniteFuture()) decisions_.insert({decide_at, address});
  Hush(entry);
}

void AgentCore::Impl::Unmute(Entry& entry) {
  decisions_.erase({entry.decide_at, entry.assignment.address});
  entry.decide_at = absl::InfiniteFuture();
  entry.mute = Mute::kNone;
  entry.outranked = entry.obstructed = false;
  if (entry.problem != nullptr) reconcile_ = true;  // whether it stands still
  UpdateVoice(entry);
}

// By the time the obstacle is gone another node may have the address: a leader's newer word or a probe is needed first.
void AgentCore::Impl::MuteObstructed(Entry& entry) {
  if (entry.assignment.role != Role::kAnnounce || (entry.mute != Mute::kNone && entry.mute != Mute::kAway)) return;
  entry.obstructed = true;
  if (entry.mute == Mute::kAway) return;
  MuteEntry(entry, Mute::kAway, leader_heard_ ? absl::InfiniteFuture() : now_ + kGrace);
}

// Nobody will say what becomes of muted addresses: find out ourselves.
void AgentCore::Impl::LoseLeader() {
  const bool was_led = std::exchange(leader_heard_, false);
  unacked_.reset();
  held_.clear();
  prober_.CancelForLeader();
  if (was_led) BeginAlone();
  chain_dirty_ = true;
  for (auto& [address, entry] : entries_) {
    const bool open =
        entry.mute == Mute::kFrozen || entry.mute == Mute::kAway || (entry.mute == Mute::kRival && !entry.outranked);
    // A seat goes on where it was: each controller that is dialled and does not lead is one more to be lost.
    if (!open || Chained(entry.group.get()) || entry.decide_at != absl::InfiniteFuture()) continue;
    MuteEntry(entry, entry.mute, now_ + kGrace);
  }
}

// No leader has spoken in time about what is muted.
void AgentCore::Impl::Decide() {
  std::vector<IpAddr> ask;
  while (!decisions_.empty() && decisions_.begin()->first <= now_) {
    const IpAddr address = decisions_.begin()->second;
    decisions_.erase(decisions_.begin());
    Entry& entry = entries_.at(address);
    entry.decide_at = absl::InfiniteFuture();
    if (leader_heard_) continue;
    if (Chained(entry.group.get())) {  // it was not when it was muted
      entry.seat = peer::Seat::Pausing(now_);
      chain_dirty_ = true;
      continue;
    }
    if (link_up_ && !standby_ && !stream_stale_ && now_ < linked_at_ + kLeaderSpeaks) {
      // A controller is listening to all agents before it speaks: two that come back at once must not both take it.
      MuteEntry(entry, entry.mute, now_ + kLookAgain);
    } else {
      ask.push_back(address);
    }
  }
  if (!ask.empty()) ProbeOwn(ask);
}

void AgentCore::Impl::Speak() {
  for (const Announcer::Due& due : announcer_.Take(now_)) {
    const auto it = entries_.find(due.address);
    if (it == entries_.end() || it->second.voice == Voice::kSilent) continue;
    Entry& entry = it->second;
    if (entry.voice == Voice::kQueued) {
      entry.voice = Voice::kSpeaking;
      table_dirty_ = announced_dirty_ = true;
      WriteAddress("address is announced", due.address, "interface", entry.port->name);
    }
    SendGratuitous(entry);
  }
}

void AgentCore::Impl::SendGratuitous(const Entry& entry) {
  for (std::string& frame : GratuitousFrames(entry.port->mac, entry.assignment.address)) {
    frames_out_.push_back(SendFrame{entry.port->index, std::move(frame)});
  }
}

// Somebody else claims an address of ours.
void AgentCore::Impl::HearClaim(Entry& entry, const Sighting& sighting) {
  const sync::Assignment& a = entry.assignment;
  if (entry.voice == Voice::kSilent || sighting.ifindex != entry.port->index) return;
  const auto has = [&](const std::vector<MacAddr>& macs) {
    return std::find(macs.begin(), macs.end(), sighting.mac) != macs.end();
  };
  if (has(a.yield_to)) {
    const bool alone = !leader_heard_ && Chained(entry.group.get());
    MuteEntry(entry, Mute::kYielded, alone ? now_ + kGrace : absl::InfiniteFuture());
    return;
  }
  const auto rival = std::find_if(a.candidates.begin(), a.candidates.end(),
                                  [&](const sync::Candidate& c) { return c.node != config_.node && has(c.macs); });
  if (rival != a.candidates.end()) {
    WriteAddress("another candidate claims an address", a.address, "node", rival->node);
    const auto rank = static_cast<std::uint32_t>(rival - a.candidates.begin());
    if (!leader_heard_ && Chained(entry.group.get())) {  // its claim is asked for
      if (!entry.seat.Holds()) entry.seat = peer::Seat::Speaking();
      entry.seat.RivalSpoke(static_cast<int>(rank), SceneOf(*entry.group), timing_, now_);
      MuteInSeat(entry, Mute::kRival);
      Doubtful(a.address);
      return;
    }
    entry.outranked = rank < entry.rank || entry.retried_rival;
    const bool alone = !leader_heard_ && !entry.outranked;
    MuteEntry(entry, Mute::kRival, alone ? now_ + kGrace : absl::InfiniteFuture());
    return;
  }
  if (entry.voice != Voice::kSpeaking) return;  // the first frames are about to say it anyway
  const Conflicts::Verdict verdict = conflicts_.Seen(a.address, entry.port->name, sighting.mac, now_);
  if (verdict.fresh) {
    conflicts_dirty_ = true;
    Emit(Count{Count::What::kConflict});
    WriteAddress("a stranger claims an address", a.address, "mac", sighting.mac.ToString());
  }
  if (verdict.defend) announcer_.Again(a.address);
}

// Interfaces once needed stay open while they are up, so that a short probe does not open and close them.
void AgentCore::Impl::UpdatePorts() {
  if (kernel_ == nullptr) return;
  std::erase_if(ports_, [&](const auto& p) { return kernel_->Find(p.first) == nullptr; });
  std::vector<PortInterface> open;
  for (auto& [index, port] : ports_) {
    const Link& link = *kernel_->Find(index);
    port = {.index = index, .name = link.name, .mac = link.mac};
    if (link.up && link.carrier) open.push_back(port);
  }
  if (open == ports_told_) return;
  ports_told_ = open;
  std::erase_if(ports_open_, [&](int index) {
    return std::none_of(open.begin(), open.end(), [&](const PortInterface& p) { return p.index == index; });
  });
  table_dirty_ = true;
  Emit(SetInterfaces{std::move(open)});
}

void AgentCore::Impl::PublishTable() {
  if (prober_.TakeChanged()) table_dirty_ = true;
  if (!table_dirty_) return;
  table_dirty_ = false;
  auto table = std::make_shared<AnswerTable>();
  for (const PortInterface& port : ports_told_) table->interfaces[port.index].mac = port.mac;
  for (const auto& [address, entry] : entries_) {
    if (entry.voice == Voice::kSilent) continue;
    const auto it = table->interfaces.find(entry.port->index);
    if (it == table->interfaces.end()) continue;
    it->second.watch.insert(address);
    if (entry.voice == Voice::kSpeaking) it->second.answer.insert(address);
  }
  for (const Prober::Target& target : prober_.watched()) {
    const auto it = table->interfaces.find(target.ifindex);
    if (it != table->interfaces.end()) it->second.watch.insert(target.address);
  }
  Emit(Publish{std::move(table)});
}

}  // namespace berth::agent
