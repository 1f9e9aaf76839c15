// SPDX-License-Identifier: Apache-2.0
// The candidates' chain: the other agents' probes, and who takes over while no leader is heard. Each decision is that
// of a peer::Seat; here it gets what it needs to know, and what it decides is done.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/core/core_impl.h"
#include "agent/diff/resolve.h"

namespace berth::agent {
namespace {

using peer::Seat;
using sync::Role;

constexpr int kSlowerWhenLed = 5;                                 // times; probes while a leader is heard
constexpr absl::Duration kLeaderSpeaks = absl::Seconds(4);        // a new leader listens for 3 s before its first word
constexpr absl::Duration kClaimsAgain = absl::Milliseconds(200);  // when no answer came
constexpr absl::Duration kClaimsSlice = absl::Milliseconds(10);
constexpr std::size_t kClaimsInSlice = 512;

int IndexOf(const Group& group, const peer::Path* path) {
  for (std::size_t i = 0; i < group.paths.size(); ++i) {
    if (group.paths[i].get() == path) return static_cast<int>(i);
  }
  return -1;
}

int CandidateWith(const sync::CandidateList& candidates, const MacAddr& mac) {
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::vector<MacAddr>& macs = candidates[i].macs;
    if (std::find(macs.begin(), macs.end(), mac) != macs.end()) return static_cast<int>(i);
  }
  return -1;
}

// The same in each run, unlike that of pointers: a history's seed replays it.
struct InOrder {
  bool operator()(const peer::Path* a, const peer::Path* b) const {
    return std::tie(a->node, a->address, a->port, a->ifindex) < std::tie(b->node, b->address, b->port, b->ifindex);
  }
};

}  // namespace

peer::Self AgentCore::Impl::Self() const { return {.led = leader_heard_, .has_state = state_ != sync::Stamp{}}; }

// The group of an assignment, whose list of candidates becomes one that is shared.
std::shared_ptr<Group> AgentCore::Impl::GroupOf(sync::Assignment& assignment) {
  assignment.candidates = lists_.Share(std::move(assignment.candidates));
  std::weak_ptr<Group>& known = groups_[{assignment.candidates.identity(), assignment.interface}];
  std::shared_ptr<Group> group = known.lock();
  if (group != nullptr) return group;
  group = std::make_shared<Group>();
  group->candidates = assignment.candidates;
  group->rule = assignment.interface;
  group->sample = assignment.address;
  const auto us = std::find_if(group->candidates.begin(), group->candidates.end(),
                               [&](const sync::Candidate& c) { return c.node == config_.node; });
  group->rank = static_cast<std::uint32_t>(us - group->candidates.begin());
  group->paths.resize(std::min(group->candidates.size(), peer::kMostCandidates));
  known = group;
  reconcile_ = true;
  return group;
}

// Where each group's addresses belong, and by which path its candidates are probed.
void AgentCore::Impl::UpdateGroups(Links& links) {
  std::erase_if(groups_, [](const auto& g) { return g.second.expired(); });
  std::set<const Group*> cut_off;
  for (const auto& [key, weak] : groups_) {
    const std::shared_ptr<Group> group = weak.lock();
    const Meaning& link = MeaningOf(group->rule, group->sample, links);
    const auto* where = std::get_if<std::shared_ptr<const PortInterface>>(&link);
    const bool same = where != nullptr && group->where != nullptr && (*where)->index == group->where->index;
    if (group->where != nullptr && !same) cut_off.insert(group.get());
    group->where = where == nullptr ? nullptr : *where;
    for (std::size_t i = 0; i < group->paths.size(); ++i) {
      const sync::Candidate& candidate = group->candidates[i];
      std::shared_ptr<const peer::Path> path;
      if (where != nullptr && i != group->rank && !candidate.probe_endpoint.empty()) {
        path = peers_.PathTo(candidate.node, candidate.probe_endpoint, group->where->index, now_);
      }
      if (path == group->paths[i]) continue;
      group->paths[i] = std::move(path);
      chain_dirty_ = true;
    }
  }
  if (!cut_off.empty()) AskLater([&](const Group& group) { return cut_off.contains(&group); });
  std::vector<PeerInterface> interfaces;
  std::set<std::string> names;
  for (const auto* lan : {&view_.silence.rewrite, &view_.silence.rewrite6}) {
    for (const auto& [name, address] : *lan) names.insert(name);
  }
  for (const std::string& name : names) interfaces.push_back({kernel_->Find(name)->index, name});
  if (interfaces == peer_interfaces_told_) return;
  peer_interfaces_told_ = interfaces;
  Emit(SetPeerInterfaces{std::move(interfaces)});
}

bool AgentCore::Impl::Chained(const Group* group) const {
  return group != nullptr && !peers_.keys().empty() &&
         std::any_of(group->paths.begin(), group->paths.end(), [](const auto& p) { return p != nullptr; });
}

peer::Scene AgentCore::Impl::SceneOf(const Group& group) const {
  peer::Scene scene{.rank = group.rank, .heard = 0, .led = false};
  for (std::size_t i = 0; i < group.paths.size(); ++i) {
    const peer::Path* path = group.paths[i].get();
    if (path == nullptr || !path->counts()) continue;
    scene.heard |= std::uint32_t{1} << i;
    scene.led |= path->led && path->answered;
  }
  return scene;
}

// A claim is higher than all that anybody is known to have heard of.
sync::Stamp AgentCore::Impl::NextStamp() {
  const sync::Stamp& clock = peers_.clock();
  const std::uint64_t heard = clock.term == state_.term ? clock.version : 0;
  own_version_ = std::max({own_version_, heard, state_.version}) + 1;
  const sync::Stamp stamp{state_.term, own_version_};
  peers_.Heed(stamp);
  return stamp;
}

// No leader is heard from now on: what it said last is where each seat begins.
void AgentCore::Impl::BeginAlone() {
  for (auto& [address, entry] : entries_) {
    const bool muted = entry.mute != Mute::kNone;
    switch (entry.assignment.role) {
      case Role::kAnnounce:
        entry.seat = muted ? Seat::Pausing(now_ + kGrace) : Seat::Speaking();
        break;
      case Role::kPrepare:
        entry.seat = Seat::Pausing(now_ + kGrace);  // whether it is our turn already only the LAN knows
        break;
      case Role::kMute:
      case Role::kStandby:
        entry.seat = Seat::Watching(0);
        break;
    }
  }
  chain_dirty_ = true;
}

// The loop stood still: what was being asked is not to be believed, and nobody is to blame for the silence.
void AgentCore::Impl::ForgetChain() {
  peers_.Forgive(now_);
  AskLater([](const Group&) { return true; });
  doubtful_.clear();
}

// A leader sees for itself who is lost: as long as one is heard, others are probed to know them, not to follow them.
void AgentCore::Impl::PacePeers() {
  const int slower = leader_heard_ ? kSlowerWhenLed : 1;
  peers_.SetPace(settings_.heartbeat * slower, settings_.agent_timeout * slower);
  if (!leader_heard_) peers_.Forgive(now_);
}

void AgentCore::Impl::StepChain() {
  if (cleaning_) return;
  if (std::exchange(peers_paced_led_, leader_heard_) != leader_heard_) PacePeers();
  if (now_ >= peers_.Next()) {
    std::vector<PeerPacket> out;
    peers_.Tick(Self(), now_, out);
    SendPeers(std::move(out));
  }
  if (peers_.TakeChanged()) chain_dirty_ = peers_dirty_ = true;
  for (const std::shared_ptr<const peer::Path>& path : peers_.TakeReturned()) DoubtAll(*path);
  if (leader_heard_ || kernel_ == nullptr) {
    chain_next_ = absl::InfiniteFuture();
    doubtful_.clear();
    return;
  }
  if (std::exchange(chain_dirty_, false) || now_ >= chain_next_) StepSeats();
  AskClaims();
}

void AgentCore::Impl::StepSeats() {
  chain_next_ = absl::InfiniteFuture();
  // A controller is listening to all agents before it speaks: what we have come back with is its to give.
  const bool listening = link_up_ && !standby_ && !stream_stale_ && now_ < linked_at_ + kLeaderSpeaks;
  if (listening) chain_next_ = linked_at_ + kLeaderSpeaks;
  std::vector<IpAddr> ask;
  const auto step = [&](const IpAddr& address, const Group& group, Seat& seat) {
    if (seat.Step(SceneOf(group), timing_, now_)) ask.push_back(address);
    chain_next_ = std::min(chain_next_, seat.Next());
  };
  for (auto& [address, standby] : standbys_) {
    if (Chained(standby.group.get())) step(address, *standby.group, standby.seat);
  }
  for (auto& [address, entry] : entries_) {
    const bool ours = entry.assignment.role == Role::kAnnounce;
    if (Chained(entry.group.get()) && !(ours && listening)) step(address, *entry.group, entry.seat);
  }
  if (!ask.empty()) ProbeOwn(ask);
}

// To be asked besides: should no other agent be heard there when the LAN has been silent, it may be us who are cut off.
std::vector<Prober::Target> AgentCore::Impl::GatewaysOf(const PortInterface& port) const {
  std::vector<Prober::Target> gateways;
  for (const sync::InterfaceInfo& info : view_.interfaces) {
    if (info.name != port.name) continue;
    for (const IpAddr& gateway : info.gateways) gateways.push_back({gateway, port.index});
  }
  return gateways;
}

// What the LAN said of an address that is part of the chain; its silence means nothing on the interfaces `in_doubt`.
// True: ask once more.
bool AgentCore::Impl::EndChainProbe(const IpAddr& address, const sync::ProbeAnswer& answer,
                                    const std::set<int>& in_doubt) {
  const auto standby = standbys_.find(address);
  const auto entry = entries_.find(address);
  if (standby == standbys_.end() && entry == entries_.end()) return false;
  const std::shared_ptr<Group> group = standby != standbys_.end() ? standby->second.group : entry->second.group;
  Seat& seat = standby != standbys_.end() ? standby->second.seat : entry->second.seat;
  const bool answered = !answer.macs.empty();
  // What could not be announced here is not taken over either.
  const bool obstructed = entry != entries_.end() && entry->second.problem != nullptr;
  const bool proven = group->where != nullptr && !in_doubt.contains(group->where->index) &&
                      !bad_ports_.contains(group->where->index) && !obstructed;
  const Seat::Finding finding{
      .asked = answered || (answer.probed && proven),
      .silent = !answered,
      .answered_by = answered ? CandidateWith(group->candidates, answer.macs.front()) : -1,
  };
  const Seat::Act act = seat.Answered(finding, SceneOf(*group), timing_, now_);
  chain_next_ = std::min(chain_next_, seat.Next());
  if (answered) {
    WriteAddress("somebody else answers for an address", address, "mac", answer.macs.front().ToString());
  }
  if (act == Seat::Act::kSpeak) TakeOver(address);
  return act == Seat::Act::kAsk;
}

// Nobody answers for it, and it is our turn.
void AgentCore::Impl::TakeOver(const IpAddr& address) {
  if (const auto standby = standbys_.find(address); standby != standbys_.end()) {
    Entry& made = entries_[address];
    made.group = standby->second.group;
    made.seat = standby->second.seat;
    made.assignment = AssignmentOf(address, standby->second);
    made.rank = made.group->rank;
    standbys_.erase(standby);
  }
  Entry& entry = entries_.at(address);
  entry.assignment.role = Role::kAnnounce;
  entry.assignment.yield_to.clear();
  // Where nobody at all is heard, and no gateway is known to ask, it may be us who are cut off: then the claim is one
  // that any other beats.
  const std::shared_ptr<const PortInterface>& where = entry.group->where;
  const bool proven = where == nullptr || peers_.HearsAnybody(where->index) || !GatewaysOf(*where).empty();
  entry.assignment.since = proven ? NextStamp() : sync::Stamp{state_.term, 0};
  WriteAddress("address is taken over, no leader and nobody before this node is heard", address, "rank",
               absl::StrCat(entry.rank));
  Emit(Count{Count::What::kTakeOver});
  Unmute(entry);
  if (entry.seat.doubts() != 0) Doubtful(address);
  store_dirty_ = reconcile_ = true;
}

sync::Assignment AgentCore::Impl::AssignmentOf(const IpAddr& address, const Standby& standby) {
  return {.address = address,
          .protocol = standby.protocol,
          .interface = standby.group->rule,
          .role = Role::kStandby,
          .since = standby.since,
          .candidates = standby.group->candidates,
          .yield_to = {},
          .services = standby.services};
}

// ---- claims

void AgentCore::Impl::Doubtful(const IpAddr& address) {
  doubtful_.insert(address);
  claims_next_ = std::min(claims_next_, now_);
}

// An agent came back: it may hold what we took over meanwhile.
void AgentCore::Impl::DoubtAll(const peer::Path& path) {
  if (leader_heard_) return;
  for (auto& [address, entry] : entries_) {
    if (entry.voice == Voice::kSilent || entry.group == nullptr) continue;
    const int candidate = IndexOf(*entry.group, &path);
    if (candidate < 0) continue;
    entry.seat.Doubt(candidate);
    Doubtful(address);
  }
}

peer::Claim AgentCore::Impl::ClaimOf(const Entry& entry) const {
  const bool contesting = !leader_heard_ && entry.seat.state() == Seat::State::kContesting;
  return {.held = entry.assignment.role == Role::kAnnounce && entry.problem == nullptr &&
                  (entry.voice != Voice::kSilent || contesting),
          .led = leader_heard_,
          .stamp = entry.assignment.since,
          .rank = entry.rank};
}

void AgentCore::Impl::AskClaims() {
  if (doubtful_.empty() || now_ < claims_next_) return;
  std::vector<PeerPacket> out;
  std::map<const peer::Path*, std::vector<peer::AddressClaim>, InOrder> questions;
  const auto ask = [&](const peer::Path* path, std::vector<peer::AddressClaim>& claims) {
    peers_.Ask(*path, std::exchange(claims, {}), Self(), now_, out);
  };
  auto it = doubtful_.upper_bound(claims_cursor_);
  bool around = it == doubtful_.end();
  if (around) it = doubtful_.begin();
  for (std::size_t n = 0; n < kClaimsInSlice && it != doubtful_.end(); ++n) {
    const auto entry = entries_.find(*it);
    const std::uint32_t doubts = entry == entries_.end() ? 0 : entry->second.seat.doubts();
    if (doubts == 0) {
      it = doubtful_.erase(it);
      continue;
    }
    const Group& group = *entry->second.group;
    for (std::size_t i = 0; i < group.paths.size(); ++i) {
      if ((doubts >> i & 1U) == 0 || group.paths[i] == nullptr) continue;
      std::vector<peer::AddressClaim>& claims = questions[group.paths[i].get()];
      claims.push_back({*it, ClaimOf(entry->second)});
      if (claims.size() == peer::kMostClaims) ask(group.paths[i].get(), claims);
    }
    claims_cursor_ = *it++;
  }
  for (auto& [path, claims] : questions) ask(path, claims);
  const bool all = it == doubtful_.end();
  if (all) claims_cursor_ = IpAddr();
  claims_next_ = doubtful_.empty() ? absl::InfiniteFuture() : now_ + (all ? kClaimsAgain : kClaimsSlice);
  SendPeers(std::move(out));
}

void AgentCore::Impl::On(const PeerReceived& e) {
  std::vector<PeerPacket> out;
  const peer::Incoming in = peers_.Receive(e.packet, Self(), now_, out);
  if (in.what == peer::Incoming::What::kAsked) {
    HearQuestion(in, out);
  } else if (in.what == peer::Incoming::What::kTold) {
    for (const peer::AddressClaim& told : in.claims) HearClaimOf(*in.path, told);
  }
  SendPeers(std::move(out));
}

void AgentCore::Impl::HearQuestion(const peer::Incoming& in, std::vector<PeerPacket>& out) {
  std::vector<peer::AddressClaim> claims;
  for (const peer::AddressClaim& theirs : in.claims) {
    const auto it = entries_.find(theirs.address);
    const peer::Claim ours = it == entries_.end() ? peer::Claim{} : ClaimOf(it->second);
    claims.push_back({theirs.address, ours});
    // What comes as a question may be a repetition of an old one. So it is asked for in turn before it is acted upon.
    if (!ours.held || leader_heard_ || in.path == nullptr || !peer::Beats(theirs.claim, ours, false)) continue;
    it->second.seat.Doubt(it->second.group == nullptr ? -1 : IndexOf(*it->second.group, in.path.get()));
    Doubtful(theirs.address);
  }
  peers_.Tell(in, std::move(claims), Self(), out);
}

void AgentCore::Impl::HearClaimOf(const peer::Path& path, const peer::AddressClaim& told) {
  const auto it = entries_.find(told.address);
  if (it == entries_.end() || leader_heard_ || it->second.group == nullptr) return;
  Entry& entry = it->second;
  const int candidate = IndexOf(*entry.group, &path);
  if (candidate < 0) return;
  const bool beats = peer::Beats(told.claim, ClaimOf(entry), path.tag < peers_.tag());
  switch (entry.seat.Told(candidate, told.claim, beats)) {
    case Seat::Act::kHush:
      MuteInSeat(entry, Mute::kRival);
      WriteAddress("another candidate holds an address", told.address, "node", path.node);
      break;
    case Seat::Act::kSpeak:
      if (entry.mute != Mute::kNone) {
        Unmute(entry);
      } else if (entry.voice == Voice::kSpeaking) {
        announcer_.Gain(told.address);  // so that the LAN and the other one hear it
      }
      break;
    case Seat::Act::kNone:
    case Seat::Act::kAsk:
      break;
  }
}

// Silent by the seat's own decision, which says what comes next.
void AgentCore::Impl::MuteInSeat(Entry& entry, Mute mute) {
  const Seat seat = entry.seat;
  MuteEntry(entry, mute, absl::InfiniteFuture());
  entry.seat = seat;
  chain_dirty_ = true;
}

void AgentCore::Impl::SendPeers(std::vector<PeerPacket> packets) {
  for (PeerPacket& packet : packets) Emit(SendPeer{std::move(packet)});
}

}  // namespace berth::agent
