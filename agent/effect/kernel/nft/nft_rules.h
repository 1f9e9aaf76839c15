// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_rules.h -- the rules by which the node's kernel keeps silent. Pure.
//
// As `nft list` would print them, with @addresses the set, and eth0 -> 10.9.0.2 and eth0 -> fe80::2 one rewrite each:
//
//   table arp berth {
//     input:  request, target in @addresses: drop
//     output: reply, sender in @addresses: drop
//             request, target in @addresses: drop
//             request, oif eth0, sender in @addresses: sender := 10.9.0.2, accept
//             request, sender in @addresses: drop
//   }
//   table ip6 berth {
//     input:  solicitation, target in @addresses: drop
//     output: advertisement, target in @addresses: drop
//             solicitation, target in @addresses: drop
//             solicitation, oif eth0, source in @addresses: source := fe80::2, accept
//             solicitation, source in @addresses: drop
//   }
//
// Frames that the agent injects by libpcap pass none of these chains.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_RULES_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_RULES_H_

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/effect/kernel/kernel.h"

struct nftnl_rule;
struct nlmsghdr;

namespace berth::agent {

inline constexpr char kNftTable[] = "berth";    // in each family
inline constexpr char kNftSet[] = "addresses";  // in each table

enum class NftFamily : std::uint8_t { kInet = 1, kArp = 3, kIp6 = 10 };  // NFPROTO_INET, NFPROTO_ARP, NFPROTO_IPV6
const char* NftFamilyName(NftFamily family);                             // "inet", "arp", "ip6"
// The family whose table silences an address.
inline NftFamily NftFamilyOf(const IpAddr& address) { return address.is_v4() ? NftFamily::kArp : NftFamily::kIp6; }

// A set of a table. Rules find it by its number while both are made in one transaction, later by its name.
struct NftSet {
  const char* name;
  std::uint32_t id;
  std::uint32_t type;    // a label that `nft list` shows keys by (enum datatypes in nft's sources)
  std::uint32_t length;  // of a key, in bytes
};
inline constexpr std::uint32_t kNftSetId = 1;
inline constexpr std::uint32_t kNftTypeIpv4Addr = 7;
inline constexpr std::uint32_t kNftTypeIpv6Addr = 8;
// The set kNftSet of the table that silences `family` (arp or ip6).
NftSet NftSetOf(NftFamily family);

// What a set is looked up by, as the kernel has it. At most 24 bytes, without an allocation: there are thousands.
struct NftKey {
  NftKey() = default;
  explicit NftKey(absl::string_view key);
  explicit NftKey(const IpAddr& address) : NftKey(address.ToBytes()) {}
  absl::string_view view() const { return {bytes.data(), size}; }
  std::array<char, 24> bytes{};
  std::uint8_t size = 0;
  friend auto operator<=>(const NftKey&, const NftKey&) = default;
};

struct NftRuleFree {
  void operator()(nftnl_rule* rule) const;
};
using NftRulePtr = std::unique_ptr<nftnl_rule, NftRuleFree>;

// A base chain of type filter, priority 0, policy accept.
struct NftChain {
  NftFamily family;
  const char* name;
  std::uint32_t hook;
  std::vector<NftRulePtr> rules;
};
// Of the tables that silence: arp and ip6.
std::vector<NftChain> NftChainsOf(NftFamily family, const Silence& silence);

// What a rule does, in libnftnl's own words, counters left out: equal for a rule and what the kernel made of it.
std::string NftRuleText(nftnl_rule* rule);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_RULES_H_
