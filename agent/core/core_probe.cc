// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "agent/core/core_impl.h"
#include "agent/diff/resolve.h"
#include "agent/effect/l2/announce_frames.h"

namespace berth::agent {
namespace {

constexpr absl::Duration kOwnTimeout = absl::Milliseconds(200);
constexpr absl::Duration kAskAgain = absl::Seconds(5);

}  // namespace

void AgentCore::Impl::UsePort(const PortInterface& port) { ports_[port.index] = port; }

void AgentCore::Impl::Obey(const sync::ProbeRequest& m) {
  std::vector<Prober::Target> targets;
  std::vector<sync::ProbeAnswer> known;
  std::vector<std::pair<IpAddr, const PortInterface*>> ours;  // those of `targets` that we answer for
  const bool census = m.kind == sync::ProbeKind::kCensus;
  Links links;
  const auto not_asked = [&](const IpAddr& address, absl::string_view why) {
    known.push_back({.address = address, .probed = false, .macs = {}, .message = std::string(why)});
  };
  for (const sync::ProbeTarget& target : m.targets) {
    if (kernel_ == nullptr) {
      not_asked(target.address, "this node's interfaces are not known yet");
      continue;
    }
    const Meaning& link = MeaningOf(target.interface, target.address, links);
    if (const auto* rejection = std::get_if<sync::Rejection>(&link)) {
      not_asked(target.address, rejection->message);
      continue;
    }
    const PortInterface& port = *std::get<std::shared_ptr<const PortInterface>>(link);
    const auto bad = bad_ports_.find(port.index);
    const auto entry = entries_.find(target.address);
    if (bad != bad_ports_.end()) {
      not_asked(target.address, bad->second.status.message());
    } else if (entry != entries_.end() && entry->second.voice != Voice::kSilent && census) {
      targets.push_back({target.address, entry->second.port->index});
      ours.emplace_back(target.address, entry->second.port.get());
    } else if (entry != entries_.end() && entry->second.voice != Voice::kSilent) {
      known.push_back({.address = target.address, .probed = true, .macs = {entry->second.port->mac}, .message = {}});
    } else if (view_.own.contains(target.address)) {
      known.push_back({.address = target.address, .probed = true, .macs = {port.mac}, .message = "owned by this node"});
    } else {
      UsePort(port);
      targets.push_back({target.address, port.index});
    }
  }
  if (!prober_.Start({.term = m.term, .number = m.id}, m.kind, m.timeout, targets, std::move(known))) return;
  for (const auto& [address, port] : ours) prober_.Heard(port->index, address, port->mac);
  if (!census || !config_.reads_node) return;
  asked_for_facts_ = true;
  facts_due_ = now_;
}

// Asks whether somebody else took over what we would announce.
void AgentCore::Impl::ProbeOwn(const std::vector<IpAddr>& addresses) {
  std::vector<Prober::Target> targets;
  std::set<Prober::Key> gateways;
  GatewaysAsked asked;
  for (const IpAddr& address : addresses) {
    const auto standby = standbys_.find(address);
    const std::shared_ptr<Group> group =
        standby != standbys_.end() ? standby->second.group : entries_.at(address).group;
    if (Chained(group.get())) {
      if (group->where == nullptr) {
        EndChainProbe(address, {.address = address, .probed = false, .macs = {}, .message = {}}, {});
        continue;
      }
      UsePort(*group->where);
      targets.push_back({address, group->where->index});
      for (const Prober::Target& gateway : GatewaysOf(*group->where)) {
        if (!gateways.insert({gateway.ifindex, gateway.address}).second) continue;
        asked[targets.size()] = gateway.ifindex;
        targets.push_back(gateway);
      }
      continue;
    }
    Entry& entry = entries_.at(address);
    if (entry.where != nullptr && entry.problem == nullptr) {
      UsePort(*entry.where);
      targets.push_back({address, entry.where->index});
    } else {
      MuteEntry(entry, entry.mute, now_ + absl::Seconds(1));
    }
  }
  if (targets.empty()) return;
  prober_.Start({.term = 0, .number = ++own_rounds_}, sync::ProbeKind::kTakeOver, kOwnTimeout, targets, {});
  if (!asked.empty()) gateways_asked_[own_rounds_] = std::move(asked);
}

// What the LAN is being asked about `concerned`, it is asked anew: answers may be missed.
void AgentCore::Impl::AskLater(const std::function<bool(const Group&)>& concerned) {
  const auto later = [&](const Group* group, peer::Seat& seat) {
    if (seat.state() != peer::Seat::State::kAsking || group == nullptr || !concerned(*group)) return;
    seat = peer::Seat::Pausing(now_ + kGrace);
  };
  for (auto& [address, standby] : standbys_) later(standby.group.get(), standby.seat);
  for (auto& [address, entry] : entries_) later(entry.group.get(), entry.seat);
  chain_dirty_ = true;
}

void AgentCore::Impl::EndOwnProbe(const Prober::Round& round) {
  const auto node = gateways_asked_.extract(round.id.number);
  std::erase_if(gateways_asked_, [&](const auto& r) { return r.first < round.id.number; });  // of cancelled rounds
  const GatewaysAsked gateways = node.empty() ? GatewaysAsked() : node.mapped();
  // Where nobody is heard by now, one of the interface's gateways must have answered, if there are any.
  std::set<int> in_doubt;
  for (const auto& [place, ifindex] : gateways) {
    if (!peers_.HearsAnybody(ifindex)) in_doubt.insert(ifindex);
  }
  for (const auto& [place, ifindex] : gateways) {
    if (!round.answers[place].macs.empty()) in_doubt.erase(ifindex);
  }
  std::vector<IpAddr> again;
  for (std::size_t place = 0; place < round.answers.size(); ++place) {
    if (gateways.contains(place)) continue;
    const sync::ProbeAnswer& answer = round.answers[place];
    const auto it = entries_.find(answer.address);
    if (it == entries_.end() ? standbys_.contains(answer.address) : Chained(it->second.group.get())) {
      if (EndChainProbe(answer.address, answer, in_doubt)) again.push_back(answer.address);
      continue;
    }
    if (it == entries_.end()) continue;
    Entry& entry = it->second;
    if (entry.mute == Mute::kNone || entry.mute == Mute::kYielded) continue;
    if (answer.macs.empty()) {
      if (answer.probed && entry.problem == nullptr) {
        entry.retried_rival = entry.mute == Mute::kRival;
        Unmute(entry);
      } else {  // silence says nothing where nothing could be asked
        MuteEntry(entry, entry.mute, now_ + absl::Seconds(1));
      }
      continue;
    }
    if (entry.decide_at == absl::InfiniteFuture()) MuteEntry(entry, entry.mute, now_ + kAskAgain);
    WriteAddress("somebody else answers for an address", answer.address, "mac", answer.macs.front().ToString());
  }
  if (!again.empty()) ProbeOwn(again);
}

void AgentCore::Impl::AskLan() {
  if (now_ >= verdicts_at_) {
    for (Prober::Round& round : prober_.Finished(now_)) {
      if (round.id.term == 0) {
        EndOwnProbe(round);
      } else {
        Send(sync::ProbeResult{.term = round.id.term, .id = round.id.number, .answers = std::move(round.answers)});
      }
    }
  }
  for (const Prober::Target& target : prober_.Take(now_)) {
    const Link* link = kernel_ == nullptr ? nullptr : kernel_->Find(target.ifindex);
    if (link == nullptr) continue;
    const auto source = view_.silence.rewrite6.find(link->name);
    const bool ask_by_name = target.address.is_v6() && source != view_.silence.rewrite6.end() &&
                             prober_.InCensus(target.ifindex, target.address);
    frames_out_.push_back(SendFrame{target.ifindex, ask_by_name
                                                        ? QuestionFrame(link->mac, source->second, target.address)
                                                        : ProbeFrame(link->mac, target.address)});
  }
}

}  // namespace berth::agent
