// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "agent/core/core_impl.h"

namespace berth::agent {
namespace {

using sync::RejectCode;
using sync::Role;

constexpr absl::Duration kDiskGrace = absl::Milliseconds(300);  // for a leader's word, before the disk's counts
constexpr absl::Duration kElderGrace = absl::Seconds(3);        // the same while an older agent announces it all
constexpr absl::Duration kAskAfterStart = absl::Seconds(1);     // about what others hold
constexpr absl::Duration kTermPatience = absl::Seconds(1);      // for the disk to take a new term
constexpr absl::Duration kStoreInterval = absl::Milliseconds(100);

std::uint64_t VersionOf(const sync::ControllerMessage& message) {
  if (const auto* m = std::get_if<sync::Snapshot>(&message)) return m->version;
  if (const auto* m = std::get_if<sync::Delta>(&message)) return m->version;
  return 0;
}

// A standby may be the leader in a moment; but there may be another one already, whom only dialling finds.
constexpr absl::Duration kStandbyPatience = absl::Milliseconds(700);

// Bounds that keep a mistaken controller from spinning or muting this agent.
sync::Settings Sane(sync::Settings settings) {
  settings.heartbeat = std::clamp(settings.heartbeat, absl::Milliseconds(10), absl::Seconds(60));
  settings.agent_timeout = std::clamp(settings.agent_timeout, absl::Milliseconds(50), absl::Seconds(600));
  return settings;
}

}  // namespace

void AgentCore::Impl::Take(const sync::ControllerMessage& message) {
  if (const auto* m = std::get_if<sync::NotLeader>(&message)) {
    Obey(*m);
    return;
  }
  const std::uint64_t term = sync::TermOf(message);
  if (term < highest_term_) {
    Refuse(message, RejectCode::kStaleTerm,
           absl::StrCat("term ", term, " is over, term ", highest_term_, " has been seen"));
    return;
  }
  if (term > highest_term_) {
    highest_term_ = term;
    StoreNow();
    term_store_ = store_number_;
    held_until_ = now_ + kTermPatience;
  }
  if (term_store_ != 0) {
    held_.push_back(message);
    return;
  }
  std::visit([this](const auto& m) { Obey(m); }, message);
}

void AgentCore::Impl::ReleaseHeld() {
  term_store_ = 0;
  held_until_ = absl::InfiniteFuture();
  std::deque<sync::ControllerMessage> held;
  held.swap(held_);
  for (const sync::ControllerMessage& message : held) {
    if (!passive_) Take(message);
  }
}

void AgentCore::Impl::Refuse(const sync::ControllerMessage& message, RejectCode code, std::string text) {
  Write(Log::Level::kWarn, "controller message refused", {{"why", text}});
  Send(sync::Rejected{
      .term = sync::TermOf(message),
      .version = VersionOf(message),
      .seen_term = code == RejectCode::kStaleTerm ? highest_term_ : 0,
      .rejections = {{.address = {}, .code = code, .message = std::move(text), .rival = {}}},
  });
}

void AgentCore::Impl::Obey(const sync::Snapshot& m) {
  const bool first_word = !leader_heard_;
  leader_heard_ = true;
  standby_ = false;
  Adopt(m.settings);
  authoritative_ = true;
  disk_decides_ = absl::InfiniteFuture();
  prober_.CancelOwn();
  Begin({m.term, m.version});
  for (const sync::Removal& r : m.removals) {
    if (r.released) released_.insert(r.address);
    unacked_->waiting.insert(r.address);
    unacked_->touched.insert(r.address);
  }
  std::set<IpAddr> named;
  for (const sync::Assignment& a : m.assignments) named.insert(a.address);
  std::vector<IpAddr> gone;
  for (const auto& [address, entry] : entries_) {
    if (!named.contains(address)) gone.push_back(address);
  }
  for (const IpAddr& address : gone) Drop(address);
  for (auto it = standbys_.begin(); it != standbys_.end();) {
    it = named.contains(it->first) ? std::next(it) : standbys_.erase(it);
  }
  const std::set<IpAddr> continued(m.continued.begin(), m.continued.end());
  for (const sync::Assignment& a : m.assignments) Upsert(a, first_word, continued.contains(a.address));
}

void AgentCore::Impl::Obey(const sync::Delta& m) {
  const sync::Stamp base{m.term, m.base_version};
  if (state_ == sync::Stamp{} || base != state_) {
    Refuse(m, RejectCode::kBadBaseVersion,
           absl::StrCat("delta is for term ", m.term, " version ", m.base_version, ", this agent holds term ",
                        state_.term, " version ", state_.version));
    return;
  }
  Begin({m.term, m.version});
  for (const sync::Removal& r : m.removals) {
    if (r.released) released_.insert(r.address);
    Drop(r.address);
  }
  for (const sync::Assignment& a : m.upserts) Upsert(a, false, false);
}

void AgentCore::Impl::Obey(const sync::SettingsUpdate& m) {
  Adopt(m.settings);
  store_dirty_ = true;
}

void AgentCore::Impl::Adopt(const sync::Settings& settings) {
  settings_ = Sane(settings);
  peers_.SetKeys(settings_.peer_keys, now_);
  PacePeers();
  next_heartbeat_ = std::min(next_heartbeat_, now_ + settings_.heartbeat);
  next_tick_ = now_;
}

void AgentCore::Impl::Obey(const sync::NotLeader& m) {
  if (!standby_) {
    Write(Log::Level::kInfo, "the controller connected to does not lead",
          {{"leader", m.leader.empty() ? "unknown" : m.leader}});
    leave_standby_ = now_ + kStandbyPatience;
  }
  standby_ = true;
  Resume();
  LoseLeader();
}

void AgentCore::Impl::Obey(const sync::Retire& m) {
  Write(Log::Level::kInfo, "a newer agent of this node takes over", {{"addresses", absl::StrCat(m.answer_on.size())}});
  retiring_ = true;
  leader_heard_ = true;
  standby_ = false;
  unacked_.reset();
  prober_.CancelForLeader();
  const std::set<IpAddr> answer_on(m.answer_on.begin(), m.answer_on.end());
  for (auto& [address, entry] : entries_) {
    if (answer_on.contains(address) && entry.voice == Voice::kSpeaking) continue;
    if (entry.assignment.role == Role::kAnnounce) entry.assignment.role = Role::kMute;
    Hush(entry);
  }
  announced_dirty_ = announced_urgent_ = true;
}

// The successor is not there, or there is nobody to say so: on as before.
void AgentCore::Impl::Resume() {
  if (std::exchange(retiring_, false)) reconcile_ = true;
}

void AgentCore::Impl::Obey(const sync::Superseded& m) {
  Write(Log::Level::kInfo, "a newer agent of this node is connected, leaving the node to it",
        {{"by", m.by_instance}, {"message", m.message}});
  Leave(kExitSuperseded);
}

void AgentCore::Impl::Obey(const sync::Cleanup&) {
  Write(Log::Level::kInfo, "told to take everything off this node");
  cleaning_ = true;
  for (auto& [address, entry] : entries_) Hush(entry);
  entries_.clear();
  standbys_.clear();
  decisions_.clear();
  Emit(SetPeerInterfaces{});
  unacked_.reset();
  kernel_out_.push_back(RemoveEverything{});
}

void AgentCore::Impl::Upsert(const sync::Assignment& assignment, bool first_word, bool continued) {
  const IpAddr& address = assignment.address;
  released_.erase(address);
  unacked_->waiting.insert(address);
  unacked_->touched.insert(address);
  if (assignment.role == Role::kStandby) {
    Drop(address);
    StandBy(assignment, peer::Seat::Watching(0));
    return;
  }
  standbys_.erase(address);
  const auto [it, fresh] = entries_.try_emplace(address);
  Entry& entry = it->second;
  const bool newer = fresh || assignment.since > entry.assignment.since;
  // Whoever spoke for the successor when this one was told to yield is the successor still.
  const bool confirmed = first_word && !(entry.mute == Mute::kYielded && !assignment.yield_to.empty());
  Fill(entry, assignment);
  entry.continued = continued && entry.voice == Voice::kSilent;
  if (entry.mute != Mute::kNone && (newer || confirmed || assignment.role != Role::kAnnounce)) Unmute(entry);
  entry.retried_rival = entry.retried_rival && !newer;
}

void AgentCore::Impl::Fill(Entry& entry, const sync::Assignment& assignment) {
  entry.assignment = assignment;
  entry.group = GroupOf(entry.assignment);
  entry.rank = entry.group->rank;
}

void AgentCore::Impl::StandBy(const sync::Assignment& assignment, const peer::Seat& seat) {
  sync::Assignment shared = assignment;
  Standby& standby = standbys_[assignment.address];
  standby.group = GroupOf(shared);
  standby.since = assignment.since;
  standby.services = std::move(shared.services);
  standby.seat = seat;
  standby.protocol = assignment.protocol;
}

void AgentCore::Impl::Drop(const IpAddr& address) {
  if (unacked_.has_value()) {
    unacked_->waiting.insert(address);
    unacked_->touched.insert(address);
  }
  standbys_.erase(address);
  const auto it = entries_.find(address);
  if (it == entries_.end()) return;
  Hush(it->second);
  decisions_.erase({it->second.decide_at, address});
  entries_.erase(it);
}

void AgentCore::Impl::Begin(sync::Stamp stamp) {
  state_ = stamp;
  own_version_ = 0;
  peers_.Heed(stamp);
  store_dirty_ = true;
  reconcile_ = true;
  if (!unacked_.has_value()) unacked_.emplace();
  unacked_->stamp = stamp;
}

bool AgentCore::Impl::IsSettled(const IpAddr& address) const {
  const auto it = entries_.find(address);
  if (it == entries_.end()) {  // gone, unless its removal is under way
    for (auto op = ops_.lower_bound({address, 0}); op != ops_.end() && op->first.first == address; ++op) {
      if (op->second.in_flight) return false;
    }
    return true;
  }
  const Entry& entry = it->second;
  if (entry.problem != nullptr) return true;
  if (entry.wants_local && !entry.established) return false;
  if (entry.assignment.role != Role::kAnnounce || entry.mute != Mute::kNone) return true;
  return entry.voice == Voice::kSpeaking;
}

void AgentCore::Impl::Acknowledge() {
  if (!unacked_.has_value() || reconcile_) return;
  std::set<IpAddr>& waiting = unacked_->waiting;
  while (!waiting.empty() && IsSettled(*waiting.begin())) waiting.erase(waiting.begin());
  if (!waiting.empty()) return;
  ReportChanges(true);  // who hears that it is done knows who announces what
  std::vector<sync::Rejection> rejections;
  for (const IpAddr& address : unacked_->touched) {
    const auto it = entries_.find(address);
    if (it != entries_.end() && it->second.problem != nullptr) rejections.push_back(*it->second.problem);
  }
  const sync::Stamp stamp = unacked_->stamp;
  unacked_.reset();
  Write(rejections.empty() ? Log::Level::kDebug : Log::Level::kWarn, "state applied",
        {{"term", absl::StrCat(stamp.term)},
         {"version", absl::StrCat(stamp.version)},
         {"rejected", absl::StrCat(rejections.size())},
         {"first", rejections.empty() ? "" : rejections.front().message}});
  if (rejections.empty()) {
    Send(sync::Applied{stamp.term, stamp.version});
  } else {
    Send(sync::Rejected{
        .term = stamp.term, .version = stamp.version, .seen_term = 0, .rejections = std::move(rejections)});
  }
}

void AgentCore::Impl::AdoptStored(const StoredState& stored, bool elder) {
  highest_term_ = stored.highest_term;
  if (stored.boot_id != config_.boot_id) {
    Write(Log::Level::kInfo, "the node was restarted, nothing is announced until a leader says so");
    return;
  }
  state_ = stored.state;
  Adopt(stored.settings);
  peers_.Heed(state_);
  for (const sync::Assignment& a : stored.assignments) {
    // What others have done since the disk was written only the LAN knows.
    const absl::Time ask_at = now_ + kAskAfterStart;
    peers_.Heed(a.since);  // perhaps of our own making
    if (a.role == Role::kStandby) {
      StandBy(a, peer::Seat::Pausing(ask_at));
      continue;
    }
    Entry& entry = entries_[a.address];
    Fill(entry, a);
    entry.seat = peer::Seat::Pausing(ask_at);
    if (a.role == Role::kAnnounce) entry.mute = Mute::kUnconfirmed;
  }
  DiskDecidesAt(now_ + (elder ? kElderGrace : kDiskGrace));
  Write(Log::Level::kInfo, "state found on disk",
        {{"term", absl::StrCat(state_.term)},
         {"version", absl::StrCat(state_.version)},
         {"addresses", absl::StrCat(entries_.size())}});
}

// No leader has spoken by then: what the disk says is ours is asked about on the LAN.
void AgentCore::Impl::DiskDecidesAt(absl::Time at) {
  disk_decides_ = at;
  for (auto& [address, entry] : entries_) {
    if (entry.mute == Mute::kUnconfirmed) MuteEntry(entry, Mute::kUnconfirmed, at);
  }
}

void AgentCore::Impl::StoreNow() {
  StoredState stored{.boot_id = config_.boot_id,
                     .highest_term = highest_term_,
                     .state = state_,
                     .settings = settings_,
                     .assignments = {}};
  stored.settings.peer_keys = peers_.keys();
  stored.assignments.reserve(entries_.size() + standbys_.size());
  auto standby = standbys_.begin();
  const auto standbys_before = [&](const IpAddr* address) {
    for (; standby != standbys_.end() && (address == nullptr || standby->first < *address); ++standby) {
      stored.assignments.push_back(AssignmentOf(standby->first, standby->second));
    }
  };
  for (const auto& [address, entry] : entries_) {
    standbys_before(&address);
    stored.assignments.push_back(entry.assignment);
  }
  standbys_before(nullptr);
  store_dirty_ = false;
  next_store_ = now_ + kStoreInterval;
  Emit(Store{++store_number_, std::move(stored)});
}

void AgentCore::Impl::StoreIfDue() {
  if (store_dirty_ && stored_ == store_number_ && now_ >= next_store_ && !HandsOff()) StoreNow();
}

}  // namespace berth::agent
