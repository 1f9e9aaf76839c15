// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "agent/core/core_impl.h"

namespace berth::agent {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);       // the longest time between two looks at the clock
constexpr absl::Duration kLate = absl::Milliseconds(5);         // after the time asked for: the loop was busy
constexpr absl::Duration kRetry = absl::Seconds(1);             // of what the kernel refused
constexpr absl::Duration kReadPause = absl::Seconds(1);         // between two looks at the node's settings
constexpr absl::Duration kFarewell = absl::Seconds(5);          // for a leader to take our addresses, after SIGTERM
constexpr absl::Duration kPortProof = absl::Milliseconds(200);  // a reopened interface without an error counts as good

// A burst's room is given back: it is worth some hundred bytes an address, for ever.
void Empty(Effects& effects) {
  constexpr std::size_t kRoomKept = 64;
  if (effects.capacity() > kRoomKept) {
    effects = Effects();
  } else {
    effects.clear();
  }
}

}  // namespace

AgentCore::AgentCore(AgentConfig config) : impl_(std::make_unique<Impl>(std::move(config))) {}
AgentCore::~AgentCore() = default;
void AgentCore::Handle(const Event& event, absl::Time now, Effects& out) { impl_->Handle(event, now, out); }
AgentStatus AgentCore::status() const { return impl_->status(); }
std::vector<sync::AnnouncedAddress> AgentCore::announced() const { return impl_->announced(); }

void AgentCore::Impl::Handle(const Event& event, absl::Time now, Effects& out) {
  if (passive_) return;
  out_ = &out;
  now_ = now;
  // A loop that comes late has not been told yet what the LAN said in time.
  if (now_ > wake_at_ + kLate) verdicts_at_ = now_ + kLate;
  Empty(kernel_out_);
  Empty(frames_out_);
  address_lines_ = 0;
  NoticeFreeze();
  std::visit([this](const auto& e) { On(e); }, event);
  if (!passive_) Settle();
  last_now_ = now;
  out_ = nullptr;
}

void AgentCore::Impl::NoticeFreeze() {
  if (!last_now_.has_value() || now_ - *last_now_ <= settings_.agent_timeout) return;
  Emit(Publish{std::make_shared<AnswerTable>()});
  table_dirty_ = true;
  Write(Log::Level::kWarn, "this agent stood still and is mute until its addresses are confirmed",
        {{"stood_still", absl::FormatDuration(now_ - *last_now_)}});
  prober_.CancelOwn();
  prober_.CancelForLeader();
  for (auto& [address, entry] : entries_) {
    if (entry.assignment.role != sync::Role::kAnnounce || entry.mute == Mute::kYielded) continue;
    MuteEntry(entry, Mute::kFrozen, now_ + kGrace);
  }
  ForgetChain();
  if (!link_up_) return;
  stream_stale_ = true;
  held_.clear();  // from before: others may have been told otherwise since
  if (std::exchange(leader_heard_, false)) BeginAlone();
  Emit(Redial{});
}

void AgentCore::Impl::On(const Started& e) {
  if (e.stored.has_value()) AdoptStored(*e.stored, e.elder);
  reconcile_ = true;
}

void AgentCore::Impl::On(const ElderGone&) {
  if (now_ < disk_decides_ && disk_decides_ != absl::InfiniteFuture()) DiskDecidesAt(now_);
}

void AgentCore::Impl::On(const LinkUp&) {
  link_up_ = link_was_up_ = true;
  linked_at_ = now_;
  leader_heard_ = standby_ = stream_stale_ = false;
  held_.clear();
  SayHello();
  next_heartbeat_ = now_;
  Write(Log::Level::kInfo, "connected to a controller");
}

void AgentCore::Impl::On(const LinkDown& e) {
  if (!link_up_) return;  // one more dial that failed; the link itself knows why
  Write(Log::Level::kWarn, "controller connection lost, going on without", {{"reason", e.reason}});
  link_up_ = standby_ = stream_stale_ = false;
  next_heartbeat_ = absl::InfiniteFuture();
  Resume();
  LoseLeader();
}

void AgentCore::Impl::On(const FromController& e) {
  if (!link_up_ || stream_stale_) return;
  Take(e.message);
}

void AgentCore::Impl::On(const KernelChanged& e) {
  kernel_ = e.state;
  CheckVip();
  std::vector<sync::InterfaceInfo> before = std::move(view_.interfaces);
  view_ = ViewOf(*kernel_, vip_);
  if (view_.interfaces != before) facts_due_ = std::min(facts_due_, facts_read_ + kReadPause);
  reconcile_ = true;
}

void AgentCore::Impl::On(const SilenceDisturbed&) {
  silence_disturbed_ = true;
  reconcile_ = true;
  Emit(Count{Count::What::kDriftRepair});
  Write(Log::Level::kWarn, "somebody changed Berth's nftables tables, putting them right");
}

void AgentCore::Impl::On(const VipInterfaceDone& e) {
  vip_in_flight_ = false;
  vip_done_ = findings_due_ = now_;
  if (!e.status.ok()) {
    if (vip_status_ != e.status) {
      Write(Log::Level::kError, "no interface to make addresses local on", {{"error", e.status.ToString()}});
    }
    vip_status_ = e.status;
    vip_due_ = now_ + kRetry;
  } else {
    vip_status_ = absl::OkStatus();
    vip_due_ = absl::InfiniteFuture();
    if (e.interface.has_value() && (!vip_.has_value() || vip_->index != e.interface->index)) {
      Write(Log::Level::kInfo, "addresses are made local on an interface",
            {{"interface", e.interface->name}, {"chosen", e.interface->description}});
    }
    vip_ = e.interface;
    if (kernel_ != nullptr) view_ = ViewOf(*kernel_, vip_);
  }
  reconcile_ = true;
}

void AgentCore::Impl::On(const AddressesDone& e) {
  for (const AddressResult& result : e.results) {
    const auto it = ops_.find({result.address, result.ifindex});
    if (it == ops_.end() || it->second.add != result.added) continue;
    if (result.added && absl::IsNotFound(result.status)) {
      // The interface is gone and the kernel's word of it on its way: a matter of the interface, not of the address.
      ops_.erase(it);
      if (vip_.has_value() && vip_->index == result.ifindex) LoseVip();
      continue;
    }
    it->second.in_flight = false;
    it->second.done_at = now_;
    it->second.status = result.status;
    if (result.status.ok()) continue;
    WriteAddress(result.added ? "address could not be made local" : "address could not be removed", result.address,
                 "error", result.status.ToString());
  }
  reconcile_ = true;
}

void AgentCore::Impl::On(const SilenceDone& e) {
  silence_in_flight_ = false;
  findings_due_ = now_;
  if (!e.host_ports.ok()) silence_retry_ = now_ + kRetry;
  NoteHostPorts(e.host_ports);
  const auto is_v6 = [](const IpAddr& address) { return address.is_v6(); };
  if (absl::IsUnimplemented(e.status) && std::ranges::any_of(silence_asked_.addresses, is_v6)) {
    // IPv4 addresses are not to suffer from it.
    silence6_status_ = e.status;
    Write(Log::Level::kError, "this kernel cannot be silenced for IPv6 addresses, they are refused",
          {{"error", e.status.ToString()}});
    reconcile_ = true;
    return;
  }
  if (e.status.ok()) {
    if (!silence_status_.ok()) Write(Log::Level::kInfo, "the kernel's ARP is silenced again");
    silence_applied_ = std::move(silence_asked_);
  } else {
    if (silence_status_ != e.status) {
      Write(Log::Level::kError, "the kernel's ARP cannot be silenced", {{"error", e.status.ToString()}});
    }
    silence_retry_ = now_ + kRetry;
  }
  silence_status_ = e.status;
  reconcile_ = true;
}

void AgentCore::Impl::On(const CleanupDone& e) {
  if (!cleaning_) return;
  sync::Report report{.interfaces = {}, .announced = std::vector<sync::AnnouncedAddress>{}, .conflicts = {}};
  report.cleaned = e.status.ok();  // else whoever runs this agent starts it again, and it is told anew
  Send(report);
  if (e.status.ok()) {
    Write(Log::Level::kInfo, "everything Berth set on this node is taken away");
  } else {
    Write(Log::Level::kError, "not everything could be taken off this node", {{"error", e.status.ToString()}});
  }
  Leave(e.status.ok() ? 0 : kExitFailed);
}

void AgentCore::Impl::On(const Seen& e) {
  const Sighting& s = e.sighting;
  if (view_.macs.contains(s.mac)) return;  // another interface of this node
  prober_.Heard(s.ifindex, s.address, s.mac);
  const auto it = entries_.find(s.address);
  // What answers our own question says that somebody has the address, which is for whoever had us ask; a rival says so
  // unasked.
  const bool answers = !s.request && !s.gratuitous && prober_.InCensus(s.ifindex, s.address);
  if (it != entries_.end() && !answers) HearClaim(it->second, s);
}

void AgentCore::Impl::On(const PortError& e) {
  const auto [it, fresh] = bad_ports_.try_emplace(e.ifindex);
  if (fresh || it->second.status != e.status) {
    Write(Log::Level::kWarn, "interface cannot be listened on",
          {{"ifindex", absl::StrCat(e.ifindex)}, {"error", e.status.ToString()}});
  }
  it->second = {.status = e.status, .retry_at = now_ + kRetry, .good_at = absl::InfiniteFuture()};
  ports_open_.erase(e.ifindex);
  prober_.PortFailed(e.ifindex, std::string(e.status.message()));
  findings_due_ = now_;
  reconcile_ = true;
}

void AgentCore::Impl::On(const PortOpened& e) {
  const auto is_it = [&](const PortInterface& port) { return port.index == e.ifindex; };
  if (std::none_of(ports_told_.begin(), ports_told_.end(), is_it)) return;  // closed again meanwhile
  ports_open_.insert(e.ifindex);
  reconcile_ = true;
}

void AgentCore::Impl::On(const Stored& e) {
  stored_ = std::max(stored_, e.number);
  if (!e.status.ok() && store_status_.ok()) {
    Write(Log::Level::kWarn, "the state cannot be kept on disk, going on without", {{"error", e.status.ToString()}});
  } else if (e.status.ok() && !store_status_.ok()) {
    Write(Log::Level::kInfo, "the state is kept on disk again");
  }
  store_status_ = e.status;
  findings_due_ = now_;
  if (!e.status.ok()) {
    store_dirty_ = true;
    next_store_ = now_ + absl::Seconds(5);
  }
  if (term_store_ != 0 && e.number >= term_store_) ReleaseHeld();
}

void AgentCore::Impl::On(const Timer&) {}

void AgentCore::Impl::On(const Terminate&) {
  if (leaving_) {
    Leave(0);
    return;
  }
  leaving_ = true;
  leave_by_ = now_ + kFarewell;
  Write(Log::Level::kInfo, "asked to end, handing addresses over");
}

// Draws the consequences, in the order in which the world must see them.
void AgentCore::Impl::Settle() {
  RunDue();
  StepChain();
  if (reconcile_) Reconcile();
  AskLan();
  if (reconcile_) Reconcile();  // what has just been found to be ours
  Speak();
  UpdatePorts();
  PublishTable();
  std::move(kernel_out_.begin(), kernel_out_.end(), std::back_inserter(*out_));
  std::move(frames_out_.begin(), frames_out_.end(), std::back_inserter(*out_));
  Empty(kernel_out_);
  Empty(frames_out_);
  Acknowledge();
  JudgeNodeIfDue();
  ReportChanges(now_ >= next_report_);
  BeatHeart();
  StoreIfDue();
  if (address_lines_ > kMostAddressLines) {
    Write(Log::Level::kInfo, "and more addresses alike", {{"count", absl::StrCat(address_lines_ - kMostAddressLines)}});
  }
  CheckLeft();
  if (!passive_) Emit(WakeAt{wake_at_ = NextWake()});
}

void AgentCore::Impl::RunDue() {
  if (now_ >= next_tick_) {
    next_tick_ = now_ + std::min(kTick, std::max(settings_.agent_timeout / 4, absl::Milliseconds(10)));
    Emit(AnswerUntil{now_ + settings_.agent_timeout});
  }
  if (now_ >= held_until_) {
    Write(Log::Level::kWarn, "the disk is slow to take a new leader's term, going on without waiting");
    ReleaseHeld();
  }
  if (now_ >= disk_decides_) {
    disk_decides_ = absl::InfiniteFuture();
    authoritative_ = reconcile_ = sweep_ = true;
  }
  ReadNodeIfDue();
  Decide();
  if (conflicts_.Expire(now_)) conflicts_dirty_ = true;
  if (now_ >= ops_review_ || now_ >= vip_due_) reconcile_ = true;
  const bool silence_failed = !silence_status_.ok() || PortsToRetry();
  if (silence_failed && !silence_in_flight_ && now_ >= silence_retry_) reconcile_ = true;
  for (auto& [ifindex, bad] : bad_ports_) {
    if (now_ < bad.retry_at) continue;
    bad.retry_at = absl::InfiniteFuture();
    bad.good_at = now_ + kPortProof;
    ports_told_.clear();  // so that UpdatePorts names it again
  }
  if (std::erase_if(bad_ports_, [&](const auto& b) { return now_ >= b.second.good_at; }) > 0) reconcile_ = true;
}

void AgentCore::Impl::CheckLeft() {
  if (!leaving_ || passive_) return;
  if (link_up_ && !leaving_told_) {
    leaving_told_ = true;
    Send(sync::Report{.interfaces = {}, .announced = {}, .conflicts = {}, .leaving = true});
  }
  const bool holding =
      std::any_of(entries_.begin(), entries_.end(), [](const auto& e) { return e.second.voice != Voice::kSilent; });
  const bool handed_over = !holding && !unacked_.has_value();
  if (!link_up_ || standby_ || handed_over || now_ >= leave_by_) Leave(0);
}

// Names only what the next Settle will consume: a time in the past that nobody takes would spin the loop.
absl::Time AgentCore::Impl::NextWake() const {
  absl::Time next = std::min({next_tick_, held_until_, disk_decides_, conflicts_.Next(), announcer_.Next(now_),
                              std::max(prober_.Next(now_), verdicts_at_), leave_by_});
  if (!decisions_.empty()) next = std::min(next, decisions_.begin()->first);
  if (!cleaning_) next = std::min(next, peers_.Next());
  if (!cleaning_ && !leader_heard_ && kernel_ != nullptr) {
    next = std::min(next, chain_dirty_ ? now_ : chain_next_);
    if (!doubtful_.empty()) next = std::min(next, claims_next_);
  }
  for (const auto& [ifindex, bad] : bad_ports_) next = std::min({next, bad.retry_at, bad.good_at});
  if (config_.reads_node && kernel_ != nullptr) next = std::min(next, facts_due_);
  if (link_up_ && !stream_stale_ && !cleaning_) {
    next = std::min(next, next_heartbeat_);
    if (announced_dirty_) next = std::min(next, next_report_);
  }
  if (kernel_ != nullptr && !HandsOff()) {
    next = std::min(next, ops_review_);
    if (!vip_in_flight_) next = std::min(next, vip_due_);
    const bool silence_failed = !silence_status_.ok() || PortsToRetry();
    if (silence_failed && !silence_in_flight_) next = std::min(next, silence_retry_);
  }
  if (store_dirty_ && stored_ == store_number_ && !HandsOff()) next = std::min(next, next_store_);
  return std::max(next, now_);
}

void AgentCore::Impl::Leave(int code) {
  passive_ = true;
  Emit(Publish{std::make_shared<AnswerTable>()});
  Emit(Exit{code});
}

AgentStatus AgentCore::Impl::status() const {
  AgentStatus status{.link_up = link_up_,
                     .leader_heard = leader_heard_,
                     .passive = passive_,
                     .announced = 0,
                     .state = state_,
                     .highest_term = highest_term_,
                     .standbys = standbys_.size(),
                     .peers = peers_.counts(),
                     .unready = {},
                     .findings = findings_};
  for (const auto& [address, entry] : entries_) status.announced += entry.voice == Voice::kSpeaking ? 1 : 0;
  if (passive_) status.unready.push_back("this agent has ended its work");
  if (!link_was_up_) status.unready.push_back("no controller has been reached yet");
  if (!silence_applied_.has_value() && silence_status_.ok()) {
    status.unready.push_back("the kernel's ARP is not silenced yet");
  }
  for (const sync::NodeFinding& finding : findings_) {
    if (finding.severity == sync::NodeFinding::Severity::kError) status.unready.push_back(finding.message);
  }
  return status;
}

}  // namespace berth::agent
