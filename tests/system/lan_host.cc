// SPDX-License-Identifier: Apache-2.0
#include "tests/system/lan_host.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/fakes/neighbour_frame.h"

namespace berth::system {

LanHost::LanHost(EventLoop& loop, VirtualLan& lan, std::string name, MacAddr mac, IpAddr own)
    : loop_(loop),
      lan_(lan),
      mac_(mac),
      ip_(own),
      ip6_(IpAddr::V6(absl::MakeUint128(0xfd00005000000000, 0) | (own.number() & 0xff))),
      port_(lan.AddPort(std::move(name), mac, [this](const std::string& frame) { Receive(frame); })),
      own_{own} {}

void LanHost::Send(const agent::ArpPacket& packet) { lan_.Send(port_, WriteNeighbourFrame(packet)); }

void LanHost::Ask(const IpAddr& address) {
  queries_[address].push_back({.at = loop_.Now(), .answers = {}});
  Send({.ether_dst = MacAddr::Broadcast(),
        .ether_src = mac_,
        .op = agent::ArpOp::kRequest,
        .sender_mac = mac_,
        .sender_ip = address.is_v4() ? ip_ : ip6_,
        .target_mac = {},
        .target_ip = address});
}

void LanHost::AskEvery(const IpAddr& address, absl::Duration interval) {
  if (asking_.insert(address).second) Tick(address, interval);
}

void LanHost::Tick(const IpAddr& address, absl::Duration interval) {
  if (!asking_.contains(address)) return;
  Ask(address);
  loop_.RunAfter(interval, [this, address, interval] { Tick(address, interval); });
}

void LanHost::Announce(const IpAddr& address) {
  if (address.is_v4()) Send(agent::GratuitousRequest(mac_, address));  // IPv6 has one form only
  Send(agent::GratuitousReply(mac_, address));
}

void LanHost::Receive(const std::string& frame) {
  const std::optional<agent::ArpPacket> told = ReadNeighbourFrame(frame);
  if (!told.has_value()) return;
  const agent::ArpPacket& arp = *told;
  if (arp.op == agent::ArpOp::kRequest && own_.contains(arp.target_ip)) {
    Send(agent::ArpReplyTo(arp, mac_));
  }
  // An answer to another's probe, which all hear, and which changes nothing here (RFC 4861 section 7.2.5).
  if (arp.sender_ip.is_v6() && arp.target_ip.is_unspecified()) return;
  if (arp.op == agent::ArpOp::kReply && !arp.gratuitous()) {
    const auto asked = queries_.find(arp.sender_ip);
    if (asked != queries_.end() && !asked->second.empty()) {
      asked->second.back().answers.emplace_back(loop_.Now(), arp.sender_mac);
    }
    // An answer that does not override leaves an entry as it is.
    const auto [entry, fresh] = neighbours_.try_emplace(arp.sender_ip, arp.sender_mac);
    if (!fresh && arp.sender_ip.is_v4()) entry->second = arp.sender_mac;
  } else if (const auto known = neighbours_.find(arp.sender_ip); known != neighbours_.end()) {
    known->second = arp.sender_mac;
  }
}

std::size_t LanHost::Unanswered(const IpAddr& address, absl::Time from, absl::Time to) {
  const auto& all = queries_[address];
  return static_cast<std::size_t>(std::count_if(
      all.begin(), all.end(), [&](const Query& q) { return q.at >= from && q.at < to && q.answers.empty(); }));
}

std::vector<std::string> LanHost::double_answers() const {
  std::vector<std::string> found;
  for (const auto& [address, queries] : queries_) {
    for (const Query& q : queries) {
      std::set<MacAddr> macs;
      for (const auto& [at, mac] : q.answers) macs.insert(mac);
      if (macs.size() < 2) continue;
      std::string text = absl::StrCat(address.ToString(), " at ", absl::FormatTime(q.at, absl::UTCTimeZone()), ":");
      for (const auto& [at, mac] : q.answers) absl::StrAppend(&text, " ", mac.ToString());
      found.push_back(std::move(text));
    }
  }
  return found;
}

std::optional<MacAddr> LanHost::neighbour(const IpAddr& address) const {
  const auto found = neighbours_.find(address);
  return found == neighbours_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace berth::system
