// SPDX-License-Identifier: Apache-2.0
// tests/system/lan_host.h -- who else is on the LAN: a client that asks and remembers, and hosts with addresses.
//
//   LanHost client(loop, lan, "client", mac, own_address);
//   client.AskEvery(vip, absl::Milliseconds(10));
//   ... ; CHECK(client.double_answers().empty());
//   LanHost stranger(...); stranger.Own(vip); stranger.Announce(vip);
#ifndef BERTH_TESTS_SYSTEM_LAN_HOST_H_
#define BERTH_TESTS_SYSTEM_LAN_HOST_H_

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/virtual_lan.h"

namespace berth::system {

class LanHost {
 public:
  struct Query {
    absl::Time at;
    std::vector<std::pair<absl::Time, MacAddr>> answers;
  };

  LanHost(EventLoop& loop, VirtualLan& lan, std::string name, MacAddr mac, IpAddr own);
  LanHost(const LanHost&) = delete;
  LanHost& operator=(const LanHost&) = delete;

  // Asks who has `address`, once; answers are counted to the newest question.
  void Ask(const IpAddr& address);
  void AskEvery(const IpAddr& address, absl::Duration interval);
  void StopAsking() { asking_.clear(); }
  const std::vector<Query>& queries(const IpAddr& address) { return queries_[address]; }
  void ForgetQueries() { queries_.clear(); }
  // Questions asked in [from, to) that nobody answered.
  std::size_t Unanswered(const IpAddr& address, absl::Time from, absl::Time to);
  // Questions that two MACs answered, for people.
  std::vector<std::string> double_answers() const;
  // As Linux keeps it: answers make entries, gratuitous frames change those that exist.
  std::optional<MacAddr> neighbour(const IpAddr& address) const;

  // From now on it answers for `address`, as a host that has it.
  void Own(const IpAddr& address) { own_.insert(address); }
  void Disown(const IpAddr& address) { own_.erase(address); }
  void Announce(const IpAddr& address);
  const MacAddr& mac() const { return mac_; }
  VirtualLan::Port& port() { return port_; }

 private:
  void Receive(const std::string& frame);
  void Send(const agent::ArpPacket& packet);
  void Tick(const IpAddr& address, absl::Duration interval);

  EventLoop& loop_;
  VirtualLan& lan_;
  const MacAddr mac_;
  const IpAddr ip_, ip6_;  // asks by these; the latter is fd00:50:: and the former's last byte
  VirtualLan::Port& port_;
  std::set<IpAddr> own_;
  std::set<IpAddr> asking_;
  std::map<IpAddr, std::vector<Query>> queries_;
  std::map<IpAddr, MacAddr> neighbours_;
};

}  // namespace berth::system

#endif  // BERTH_TESTS_SYSTEM_LAN_HOST_H_
