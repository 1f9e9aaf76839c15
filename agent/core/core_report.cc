// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/core/core_impl.h"

namespace berth::agent {
namespace {

// Addresses gained by the thousand are reported this often; anything lost is reported at once.
constexpr absl::Duration kReportInterval = absl::Milliseconds(100);

}  // namespace

std::vector<sync::AnnouncedAddress> AgentCore::Impl::announced() const {
  std::vector<sync::AnnouncedAddress> announced;
  for (const auto& [address, entry] : entries_) {
    if (entry.voice != Voice::kSpeaking) continue;
    announced.push_back({.address = address,
                         .interfaces = {entry.port->name},
                         .since = entry.assignment.since,
                         .rank = entry.rank,
                         .repeating = announcer_.Pending(address)});
  }
  return announced;
}

std::vector<IpAddr> AgentCore::Impl::LocalMarked() const {
  std::vector<IpAddr> local;
  for (const MarkedAddress& m : view_.marked) local.push_back(m.address);
  std::sort(local.begin(), local.end());
  local.erase(std::unique(local.begin(), local.end()), local.end());
  return local;
}

void AgentCore::Impl::SayHello() {
  interfaces_told_ = view_.interfaces;
  announced_dirty_ = announced_urgent_ = false;
  conflicts_dirty_ = true;  // that there is none is news to a controller that knew of one
  peers_told_.clear();
  peers_dirty_ = true;
  findings_told_.clear();
  Send(sync::Hello{.node = config_.node,
                   .instance_id = config_.instance_id,
                   .boot_id = config_.boot_id,
                   .started_ns = config_.started_ns,
                   .version = config_.version,
                   .highest_term = highest_term_,
                   .state = state_,
                   .interfaces = interfaces_told_,
                   .announced = announced(),
                   .local = LocalMarked(),
                   .probe_endpoint = config_.probe_endpoint,
                   .wall_ns = WallNs(),
                   .layer2_off = !config_.layer2});
}

void AgentCore::Impl::ReportChanges(bool gains_due) {
  if (!link_up_ || stream_stale_ || cleaning_) return;
  sync::Report report;
  if (interfaces_told_ != view_.interfaces) report.interfaces = interfaces_told_ = view_.interfaces;
  if (announced_urgent_ || (announced_dirty_ && gains_due)) {
    report.announced = announced();
    announced_dirty_ = announced_urgent_ = false;
    next_report_ = now_ + kReportInterval;
  }
  if (conflicts_dirty_) {
    report.conflicts = conflicts_.list();
    conflicts_dirty_ = false;
  }
  if (std::exchange(peers_dirty_, false)) {
    std::vector<sync::PeerState> peers = peers_.States();
    if (peers != peers_told_) report.peers = peers_told_ = std::move(peers);
  }
  if (findings_ != findings_told_) report.findings = findings_told_ = findings_;
  if (std::exchange(wall_wanted_, false)) report.wall_ns = WallNs();
  if (report != sync::Report{}) {
    Send(std::move(report));
  }
}

void AgentCore::Impl::BeatHeart() {
  // Not while the words that it spoke as a leader since then wait for the disk.
  if (link_up_ && standby_ && held_.empty() && !stream_stale_ && now_ >= leave_standby_) {
    stream_stale_ = true;
    Emit(Redial{});
  }
  if (!link_up_ || stream_stale_ || now_ < next_heartbeat_) return;
  next_heartbeat_ = now_ + settings_.heartbeat;
  Send(sync::Heartbeat{++heartbeat_sequence_});
}

void AgentCore::Impl::Send(sync::AgentMessage message) {
  if (link_up_ && !stream_stale_) Emit(ToController{std::move(message)});
}

void AgentCore::Impl::Write(Log::Level level, absl::string_view sentence,
                            std::vector<std::pair<std::string, std::string>> fields) {
  Emit(Log{.level = level, .sentence = std::string(sentence), .fields = std::move(fields)});
}

// One line for each of a few addresses, then a count for the rest (see Settle).
void AgentCore::Impl::WriteAddress(absl::string_view sentence, const IpAddr& address, absl::string_view key,
                                   absl::string_view value) {
  if (++address_lines_ > kMostAddressLines) return;
  Write(Log::Level::kInfo, sentence, {{"address", address.ToString()}, {std::string(key), std::string(value)}});
}

}  // namespace berth::agent
