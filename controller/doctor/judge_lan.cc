// SPDX-License-Identifier: Apache-2.0
// What the LAN said when it was asked who has the addresses announced: the one right answer is the holder's MAC.
#include <map>
#include <set>

#include "absl/strings/str_join.h"
#include "controller/doctor/findings.h"

namespace berth::doctor {
namespace {

using model::LanAnswer;
using Addresses = std::vector<std::string>;

// Addresses with the same trouble.
struct Troubles {
  std::map<std::string, std::pair<Addresses, std::set<std::string>>> kernels;  // by node; with its MACs
  std::map<std::string, Addresses> strangers;                                  // by MAC
  std::map<std::string, Addresses> silent;                                     // by holder
  std::map<std::pair<std::string, std::string>, Addresses> deaf;               // by asker and holder
  std::map<std::pair<std::string, std::string>, Addresses> unasked;            // by asker and why
};

void Sort(const model::LanCensus::Address& found, Troubles& out) {
  const std::string address = found.address.ToString();
  std::set<std::string> nodes, strangers;
  bool listened = false, heard_holder = false;
  std::vector<std::string> deaf;
  for (const LanAnswer& answer : found.answers) {
    if (!answer.asked) {
      out.unasked[{answer.asker, answer.message}].push_back(address);
      continue;
    }
    bool holder = false, itself = false;
    for (const LanAnswer::Speaker& s : answer.heard) {
      itself = itself || s.node == answer.asker;
      if (s.node == found.holder) {
        holder = true;
      } else if (s.node.empty()) {
        strangers.insert(s.mac.ToString());
      } else {
        out.kernels[s.node].second.insert(s.mac.ToString());
        nodes.insert(s.node);
      }
    }
    // Who has the address hears nobody answer but others' kernels.
    if (itself || answer.asker == found.holder) continue;
    listened = true;
    heard_holder = heard_holder || holder;
    if (!holder) deaf.push_back(answer.asker);
  }
  for (const std::string& node : nodes) out.kernels[node].first.push_back(address);
  for (const std::string& mac : strangers) out.strangers[mac].push_back(address);
  if (listened && !heard_holder) {
    out.silent[found.holder].push_back(address);
  } else {
    for (const std::string& asker : deaf) out.deaf[{asker, found.holder}].push_back(address);
  }
}

std::string Of(const Addresses& addresses) {
  return absl::StrCat(Counted(addresses.size(), "address", "addresses"), " (", SomeOf(addresses), ")");
}

}  // namespace

void JudgeLan(const Patient& patient, Findings& out) {
  Troubles found;
  for (const model::LanCensus::Address& address : patient.census.addresses) Sort(address, found);
  for (const auto& [node, trouble] : found.kernels) {
    const auto& [addresses, macs] = trouble;
    out.Error(absl::StrCat("agent ", node),
              absl::StrCat("its node answers on the LAN (", absl::StrJoin(macs, ", "), ") for ", Of(addresses),
                           " that another node holds: its kernel is not silent, and clients reach now the one, now the "
                           "other"),
              absl::StrCat("on ", node,
                           ": nft list table arp berth, and ip6 berth, must list them. A running agent puts its "
                           "tables back at once: restart the one there, find what flushes the ruleset (a firewall's "
                           "restart, nft flush ruleset), and without an agent run berth-agent --cleanup. Until then "
                           "sysctl -w net.ipv4.conf.all.arp_ignore=1 (kube-proxy's ipvs.strictARP) keeps IPv4 quiet"));
  }
  for (const auto& [mac, addresses] : found.strangers) {
    out.Error(
        addresses.size() == 1 ? absl::StrCat("address ", addresses.front()) : std::string("LAN"),
        absl::StrCat(mac, ", which is no node's, answers for ", Of(addresses)),
        "find that machine (the switch's MAC table tells its port) and take the address from it, or take the address "
        "out of its Eip; a node without an agent, whose kube-proxy works in IPVS mode, answers too: run an agent "
        "there, "
        "or set kube-proxy's ipvs.strictARP");
  }
  for (const auto& [holder, addresses] : found.silent) {
    out.Error(absl::StrCat("agent ", holder),
              absl::StrCat("announces ", Of(addresses), ", and the LAN hears no answer for them"),
              absl::StrCat("see that switch and hypervisor let ARP and neighbour discovery of the node through (port "
                           "security, MAC spoofing protection), and tcpdump -ni any arp or icmp6 on ",
                           holder, "; berthctl move ADDRESS NODE serves clients meanwhile"));
  }
  for (const auto& [who, addresses] : found.deaf) {
    out.Warning(absl::StrCat("agent ", who.first),
                absl::StrCat("hears no answer of ", who.second, " for ", Of(addresses), ", which other nodes hear"),
                absl::StrCat("see that both nodes are on one LAN: ", who.first, " could not take these over rightly"));
  }
  for (const auto& [why, addresses] : found.unasked) {
    out.Warning(absl::StrCat("agent ", why.first),
                absl::StrCat("could not ask the LAN about ", Of(addresses), ": ", why.second),
                "mend what it says, and call the doctor again");
  }
}

}  // namespace berth::doctor
