// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "agent/core/core_impl.h"
#include "agent/diff/address_ops.h"
#include "agent/diff/guard.h"
#include "agent/diff/resolve.h"

namespace berth::agent {
namespace {

using sync::RejectCode;

// How long the kernel's own account of an address may lag behind what it answered.
constexpr absl::Duration kLag = absl::Seconds(1);
constexpr absl::Duration kRetryAdd = absl::Seconds(1);
constexpr absl::Duration kRetryRemove = absl::Seconds(5);
constexpr absl::Duration kRepairPause = absl::Seconds(1);  // between two repairs of one address
constexpr absl::Duration kVipPause = absl::Milliseconds(100);

absl::string_view ProtocolName(sync::Protocol protocol) {
  switch (protocol) {
    case sync::Protocol::kLayer2:
      return "layer2";
    case sync::Protocol::kBgp:
      return "bgp";
    case sync::Protocol::kVip:
      return "vip";
  }
  return "unknown";
}

}  // namespace

// Holds everything desired against everything there is, and asks for what is missing. Idempotent.
void AgentCore::Impl::Reconcile() {
  if (kernel_ == nullptr || HandsOff()) return;
  reconcile_ = false;
  if (!vip_in_flight_ && now_ >= vip_due_) {
    vip_in_flight_ = true;
    vip_due_ = absl::InfiniteFuture();
    kernel_out_.push_back(EnsureVipInterface{});
  }
  // Opening takes tens of milliseconds, which a probe before a failover does not have: so open ahead.
  for (const auto* lan : {&view_.silence.rewrite, &view_.silence.rewrite6}) {
    if (!config_.layer2) break;
    for (const auto& [name, address] : *lan) {
      const Link& link = *kernel_->Find(name);
      UsePort({.index = link.index, .name = link.name, .mac = link.mac});
    }
  }
  ReviewOps();
  Links links;
  UpdateGroups(links);
  for (auto& [address, entry] : entries_) Judge(entry, links);
  UpdateSilence();
  std::size_t drifted = 0;
  for (auto& [address, entry] : entries_) {
    Localize(entry, drifted);
    if (entry.problem != nullptr) {
      MuteObstructed(entry);
    } else if (entry.obstructed && entry.established && entry.mute == Mute::kAway) {
      entry.obstructed = false;
      WriteAddress("nothing keeps an address from being announced any more", address, "waits_for",
                   leader_heard_ ? "the leader's word" : "the LAN, which is asked who has it");
    }
    UpdateVoice(entry);
  }
  RemoveLeftovers();
  if (drifted > 0) {
    Write(Log::Level::kWarn, "somebody removed addresses that Berth had made local, or their routes, adding them again",
          {{"count", absl::StrCat(drifted)}, {"interface", vip_.has_value() ? vip_->name : ""}});
  }
}

// The VIP interface may have been removed or renamed under us.
void AgentCore::Impl::CheckVip() {
  if (!vip_.has_value()) {
    if (!vip_status_.ok() && kernel_->Find(config_.vip_interface) != nullptr) vip_due_ = now_;
    return;
  }
  const Link* link = kernel_->Find(vip_->index);
  if (link == nullptr || link->name != vip_->name) LoseVip();
}

void AgentCore::Impl::LoseVip() {
  if (!vip_in_flight_ && vip_due_ == absl::InfiniteFuture()) {
    Emit(Count{Count::What::kDriftRepair});
    Write(Log::Level::kWarn, "the interface with Berth's addresses is gone", {{"interface", vip_->name}});
    vip_due_ = std::max(now_, vip_done_ + kVipPause);
  }
  vip_.reset();
}

const AgentCore::Impl::Meaning& AgentCore::Impl::MeaningOf(const std::string& rule, const IpAddr& address,
                                                           Links& links) const {
  auto parsed = links.rules.find(rule);
  if (parsed == links.rules.end()) parsed = links.rules.emplace(rule, sync::InterfaceRule::Parse(rule)).first;
  const bool for_all = !parsed->second.ok() || parsed->second->IsOneName();
  const auto [it, fresh] = links.found.try_emplace({rule, for_all ? IpAddr() : address});
  if (!fresh) return it->second;
  if (!parsed->second.ok()) {
    it->second = sync::Rejection{.address = {},
                                 .code = RejectCode::kInterfaceMissing,
                                 .message = std::string(parsed->second.status().message()),
                                 .rival = {}};
    return it->second;
  }
  auto resolved = ResolveInterface(*parsed->second, address, *kernel_, view_.interfaces);
  if (auto* port = std::get_if<PortInterface>(&resolved)) {
    it->second = std::make_shared<const PortInterface>(std::move(*port));
  } else {
    it->second = std::get<sync::Rejection>(std::move(resolved));
  }
  return it->second;
}

// Finds where `entry` belongs and what stands in its way.
void AgentCore::Impl::Judge(Entry& entry, Links& links) {
  const sync::Assignment& a = entry.assignment;
  entry.problem.reset();
  entry.where.reset();
  entry.wants_local = false;
  const auto reject = [&](RejectCode code, std::string text) {
    if (entry.problem != nullptr) return;
    entry.problem = std::make_unique<sync::Rejection>(
        sync::Rejection{.address = a.address, .code = code, .message = std::move(text), .rival = {}});
  };
  if (a.protocol != sync::Protocol::kLayer2) {
    return reject(RejectCode::kUnsupported,
                  absl::StrCat("this agent announces by layer2 only, not by ", ProtocolName(a.protocol)));
  }
  if (!config_.layer2) return reject(RejectCode::kUnsupported, sync::kLayer2Off);
  if (const auto own = view_.own.find(a.address); own != view_.own.end()) {
    return reject(RejectCode::kOwnAddress,
                  absl::StrCat(a.address.ToString(), " is this node's own address on interface \"", own->second,
                               "\", take it out of the Eip"));
  }
  entry.wants_local = true;
  const Meaning& link = MeaningOf(a.interface, a.address, links);
  if (const auto* rejection = std::get_if<sync::Rejection>(&link)) {
    reject(rejection->code, rejection->message);
  } else {
    entry.where = std::get<std::shared_ptr<const PortInterface>>(link);
    UsePort(*entry.where);
    if (const auto bad = bad_ports_.find(entry.where->index); bad != bad_ports_.end()) {
      reject(RejectCode::kInterfaceDown, absl::StrCat("interface \"", entry.where->name,
                                                      "\" cannot be listened on: ", bad->second.status.message()));
    }
  }
  if (!silence6_status_.ok() && a.address.is_v6()) {
    reject(RejectCode::kSilenceUnavailable, std::string(silence6_status_.message()));
    entry.wants_local = false;
  }
  if (!silence_status_.ok() && !IsSilenced(a.address)) {
    reject(RejectCode::kSilenceUnavailable, std::string(silence_status_.message()));
  }
  if (NeedsVip() && !vip_status_.ok()) {
    reject(RejectCode::kNetlinkError, absl::StrCat("no interface to make it local on: ", vip_status_.message()));
  }
  if (!vip_.has_value()) return;
  if (const auto op = ops_.find({a.address, vip_->index});
      op != ops_.end() && op->second.add && !op->second.status.ok()) {
    reject(RejectCode::kNetlinkError,
           absl::StrCat("could not be made local on interface \"", vip_->name, "\": ", op->second.status.message()));
  }
}

bool AgentCore::Impl::IsSilenced(const IpAddr& address) const {
  // One that is just being taken out of the silence counts as out.
  return silence_applied_.has_value() && silence_applied_->addresses.contains(address) &&
         (!silence_in_flight_ || silence_asked_.addresses.contains(address));
}

bool AgentCore::Impl::IsLocal(const IpAddr& address) const {
  const auto op = ops_.find({address, vip_->index});
  if (op == ops_.end()) return view_.on_vip.contains(address);
  if (op->second.add) return !op->second.in_flight && op->second.status.ok();
  // Not ours to remove after all: it stays, and will do.
  return !op->second.in_flight && !op->second.status.ok() && view_.on_vip.contains(address);
}

// Makes the address local once it is silenced.
void AgentCore::Impl::Localize(Entry& entry, std::size_t& drifted) {
  const IpAddr& address = entry.assignment.address;
  if (!entry.wants_local) {
    entry.established = false;
    return;
  }
  if (!NeedsVip()) {  // nothing is made local here; what others made local must be silent all the same
    entry.established =
        silence_applied_.has_value() && (!view_.silence.addresses.contains(address) || IsSilenced(address));
    return;
  }
  // Until a lost interface is back or the silence repaired, what was established counts as such: no flapping.
  if (!vip_.has_value() || !IsSilenced(address)) return;
  if (IsLocal(address)) {
    entry.established = true;
    return;
  }
  const auto op = ops_.find({address, vip_->index});
  if (op != ops_.end() && op->second.in_flight) return;
  if (op != ops_.end() && op->second.add) {  // refused; ReviewOps lets it be tried again
    entry.established = false;
    return;
  }
  if (!authoritative_) return;
  if (entry.established) {
    if (now_ < entry.repaired_at + kRepairPause) {  // somebody is at it: perhaps a second agent, told otherwise
      ops_review_ = std::min(ops_review_, entry.repaired_at + kRepairPause);
      return;
    }
    entry.repaired_at = now_;
    ++drifted;
    Emit(Count{Count::What::kDriftRepair});
  }
  ops_[{address, vip_->index}] = Op{.add = true, .in_flight = true, .done_at = now_, .status = {}};
  kernel_out_.push_back(AddAddress{vip_->index, address});
}

// Only while a leader says what is ours, and once when the disk's word begins to count: to an agent that goes by an old
// word, what a second agent of the node has just been told to add looks like a leftover.
void AgentCore::Impl::RemoveLeftovers() {
  if (!leader_heard_ && !std::exchange(sweep_, false)) return;
  const auto assigned = [&](const IpAddr& address) {
    const auto it = entries_.find(address);
    return it != entries_.end() && it->second.wants_local;
  };
  for (const MarkedAddress& m : AddressesToRemove(view_, assigned, released_)) {
    const auto [op, fresh] = ops_.try_emplace({m.address, m.ifindex});
    if (!fresh && (!op->second.add || op->second.in_flight)) continue;  // under way, or an addition is to end first
    op->second = Op{.add = false, .in_flight = true, .done_at = now_, .status = {}};
    kernel_out_.push_back(RemoveAddress{m.ifindex, m.address});
  }
  if (released_.empty()) return;
  absl::flat_hash_set<IpAddr> marked;
  for (const MarkedAddress& m : view_.marked) marked.insert(m.address);
  std::erase_if(released_, [&](const IpAddr& a) {
    const auto op = ops_.lower_bound({a, 0});
    return !marked.contains(a) && (op == ops_.end() || op->first.first != a);
  });
}

// Forgets operations that the kernel's state shows, or whose time to be tried again has come.
void AgentCore::Impl::ReviewOps() {
  ops_review_ = absl::InfiniteFuture();
  if (ops_.empty()) return;
  absl::flat_hash_set<std::pair<int, IpAddr>> marked;
  for (const MarkedAddress& m : view_.marked) marked.insert({m.ifindex, m.address});
  std::erase_if(ops_, [&](const auto& item) {
    const auto& [address, ifindex] = item.first;
    const Op& op = item.second;
    if (op.in_flight) return false;
    if (kernel_->Find(ifindex) == nullptr) return true;
    const bool on_vip = vip_.has_value() && vip_->index == ifindex;
    const bool shown = !op.add  ? !marked.contains({ifindex, address})
                       : on_vip ? view_.on_vip.contains(address)
                                : marked.contains({ifindex, address});
    if (shown) return true;
    if (!op.add && absl::IsFailedPrecondition(op.status)) return false;  // somebody else's: left for good
    const absl::Duration patience = op.status.ok() ? kLag : op.add ? kRetryAdd : kRetryRemove;
    if (now_ >= op.done_at + patience) return true;
    ops_review_ = std::min(ops_review_, op.done_at + patience);
    return false;
  });
}

// Silence covers what is local, what is about to be, and what was asked to go until the kernel says that it went.
void AgentCore::Impl::UpdateSilence() {
  if (silence_in_flight_) return;
  if (!silence_status_.ok() && now_ < silence_retry_ && !silence_disturbed_) return;
  Silence want = view_.silence;
  if (NeedsVip()) {
    want.guarded.reserve(entries_.size());  // not a byte too much: some copies of it live long
    want.open.reserve(entries_.size());
    for (const auto& [address, entry] : entries_) {
      if (!entry.wants_local) continue;
      want.addresses.insert(want.addresses.end(), address);
      Guard(entry.assignment, want);
    }
    for (const auto& [key, op] : ops_) {
      if (op.add && !view_.own.contains(key.first)) want.addresses.insert(key.first);
    }
  }
  want.keep_others = !authoritative_;
  if (!silence6_status_.ok()) std::erase_if(want.addresses, [](const IpAddr& address) { return address.is_v6(); });
  const bool ports_again = PortsToRetry() && now_ >= silence_retry_;
  if (silence_applied_.has_value() && want == *silence_applied_ && !silence_disturbed_ && !ports_again) {
    silence_status_ = absl::OkStatus();
    return;
  }
  silence_disturbed_ = false;
  silence_in_flight_ = true;
  silence_asked_ = want;
  kernel_out_.push_back(ApplySilence{std::move(want)});
}

void AgentCore::Impl::NoteHostPorts(const absl::Status& status) {
  if (status == host_ports_status_) return;
  if (status.ok()) {
    Write(Log::Level::kInfo, "the node's own ports cannot be reached through addresses of Services any more");
  } else {
    Write(Log::Level::kWarn, "the node's own ports can be reached through addresses of Services",
          {{"error", status.ToString()}});
  }
  host_ports_status_ = status;
}

}  // namespace berth::agent
