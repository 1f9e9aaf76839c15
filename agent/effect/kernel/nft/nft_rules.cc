// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_rules.h"

#include <arpa/inet.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_arp.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/string_view.h"
#include "agent/effect/kernel/nft/nft_rule_builder.h"

namespace berth::agent {
namespace {

// Ethernet and IPv4 ARP: fixed part (hardware, protocol, lengths, operation), then sender and target (RFC 826).
constexpr std::array<std::uint8_t, 8> kArpRequest = {0, 1, 8, 0, 6, 4, 0, 1};
constexpr std::array<std::uint8_t, 8> kArpReply = {0, 1, 8, 0, 6, 4, 0, 2};
constexpr std::uint32_t kArpSenderOffset = 14;
constexpr std::uint32_t kArpTargetOffset = 24;
// Neighbour solicitation and advertisement: target address after type, code, checksum and flags (RFC 4861, section 4).
constexpr std::uint32_t kNdTargetOffset = 8;
constexpr std::uint32_t kIpv6SourceOffset = 8;  // RFC 8200, section 3

NftRuleBuilder ArpOperation(const std::array<std::uint8_t, 8>& operation) {
  NftRuleBuilder rule;
  rule.Load(NFT_PAYLOAD_NETWORK_HEADER, 0, operation.size()).Equals(operation.data(), operation.size());
  return rule;
}

NftRulePtr DropArp(const std::array<std::uint8_t, 8>& operation, std::uint32_t address_offset) {
  NftRuleBuilder rule = ArpOperation(operation);
  return rule.Load(NFT_PAYLOAD_NETWORK_HEADER, address_offset, 4).InSet(kNftSet, kNftSetId).Count().Verdict(NF_DROP);
}

std::array<char, IFNAMSIZ> Padded(const std::string& interface) {
  std::array<char, IFNAMSIZ> name{};
  interface.copy(name.data(), name.size() - 1);
  return name;
}

NftRulePtr RewriteSender(const std::string& interface, const IpAddr& own) {
  const std::array<char, IFNAMSIZ> name = Padded(interface);
  NftRuleBuilder rule = ArpOperation(kArpRequest);
  return rule.LoadMeta(NFT_META_OIFNAME)
      .Equals(name.data(), name.size())
      .Load(NFT_PAYLOAD_NETWORK_HEADER, kArpSenderOffset, 4)
      .InSet(kNftSet, kNftSetId)
      .Constant(own.ToBytes())
      .Store(NFT_PAYLOAD_NETWORK_HEADER, kArpSenderOffset, 4)
      .Count()
      .Verdict(NF_ACCEPT);
}

NftRuleBuilder IcmpType(std::uint8_t type) {
  const std::uint8_t protocol = IPPROTO_ICMPV6;
  NftRuleBuilder rule;
  rule.LoadMeta(NFT_META_L4PROTO).Equals(&protocol, 1).Load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1).Equals(&type, 1);
  return rule;
}

NftRulePtr DropTarget(std::uint8_t icmp_type) {
  NftRuleBuilder rule = IcmpType(icmp_type);
  return rule.Load(NFT_PAYLOAD_TRANSPORT_HEADER, kNdTargetOffset, 16)
      .InSet(kNftSet, kNftSetId)
      .Count()
      .Verdict(NF_DROP);
}

NftRulePtr RewriteSource(const std::string& interface, const IpAddr& own) {
  const std::array<char, IFNAMSIZ> name = Padded(interface);
  NftRuleBuilder rule = IcmpType(ND_NEIGHBOR_SOLICIT);
  return rule.LoadMeta(NFT_META_OIFNAME)
      .Equals(name.data(), name.size())
      .Load(NFT_PAYLOAD_NETWORK_HEADER, kIpv6SourceOffset, 16)
      .InSet(kNftSet, kNftSetId)
      .Constant(own.ToBytes())
      .Store(NFT_PAYLOAD_NETWORK_HEADER, kIpv6SourceOffset, 16, /*pseudo_header=*/true)
      .Count()
      .Verdict(NF_ACCEPT);
}

NftRulePtr DropSource() {
  NftRuleBuilder rule = IcmpType(ND_NEIGHBOR_SOLICIT);
  return rule.Load(NFT_PAYLOAD_NETWORK_HEADER, kIpv6SourceOffset, 16)
      .InSet(kNftSet, kNftSetId)
      .Count()
      .Verdict(NF_DROP);
}

std::vector<NftChain> ArpChains(const Silence& silence) {
  NftChain input{.family = NftFamily::kArp, .name = "input", .hook = NF_ARP_IN, .rules = {}};
  input.rules.push_back(DropArp(kArpRequest, kArpTargetOffset));

  NftChain output{.family = NftFamily::kArp, .name = "output", .hook = NF_ARP_OUT, .rules = {}};
  output.rules.push_back(DropArp(kArpReply, kArpSenderOffset));
  // The kernel asks for an address of its own only to announce it (sysctl arp_notify): not its business.
  output.rules.push_back(DropArp(kArpRequest, kArpTargetOffset));
  for (const auto& [interface, own] : silence.rewrite) {
    if (own.is_v4() && interface.size() < IFNAMSIZ) output.rules.push_back(RewriteSender(interface, own));
  }
  output.rules.push_back(DropArp(kArpRequest, kArpSenderOffset));

  std::vector<NftChain> chains;
  chains.push_back(std::move(input));
  chains.push_back(std::move(output));
  return chains;
}

std::vector<NftChain> Ip6Chains(const Silence& silence) {
  NftChain input{.family = NftFamily::kIp6, .name = "input", .hook = NF_INET_LOCAL_IN, .rules = {}};
  input.rules.push_back(DropTarget(ND_NEIGHBOR_SOLICIT));
  NftChain output{.family = NftFamily::kIp6, .name = "output", .hook = NF_INET_LOCAL_OUT, .rules = {}};
  output.rules.push_back(DropTarget(ND_NEIGHBOR_ADVERT));
  // The kernel solicits an address of its own only to find out whether somebody else has it: not its business.
  output.rules.push_back(DropTarget(ND_NEIGHBOR_SOLICIT));
  for (const auto& [interface, own] : silence.rewrite6) {
    if (own.is_v6() && interface.size() < IFNAMSIZ) output.rules.push_back(RewriteSource(interface, own));
  }
  output.rules.push_back(DropSource());

  std::vector<NftChain> chains;
  chains.push_back(std::move(input));
  chains.push_back(std::move(output));
  return chains;
}

}  // namespace

const char* NftFamilyName(NftFamily family) {
  switch (family) {
    case NftFamily::kInet:
      return "inet";
    case NftFamily::kArp:
      return "arp";
    case NftFamily::kIp6:
      return "ip6";
  }
  return "unknown";
}

void NftRuleFree::operator()(nftnl_rule* rule) const { nftnl_rule_free(rule); }

NftKey::NftKey(absl::string_view key) : size(static_cast<std::uint8_t>(std::min(key.size(), bytes.size()))) {
  std::copy_n(key.begin(), size, bytes.begin());
}

NftSet NftSetOf(NftFamily family) {
  const bool arp = family == NftFamily::kArp;
  return {.name = kNftSet,
          .id = kNftSetId,
          .type = arp ? kNftTypeIpv4Addr : kNftTypeIpv6Addr,
          .length = arp ? std::uint32_t{4} : std::uint32_t{16}};
}

std::vector<NftChain> NftChainsOf(NftFamily family, const Silence& silence) {
  return family == NftFamily::kArp ? ArpChains(silence) : Ip6Chains(silence);
}

std::string NftRuleText(nftnl_rule* rule) {
  std::string text;
  nftnl_expr_foreach(
      rule,
      [](nftnl_expr* expr, void* out) {
        auto& result = *static_cast<std::string*>(out);
        const absl::string_view name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
        result.append("[ ").append(name.data(), name.size()).append(" ");
        if (name != "counter") {
          std::array<char, 512> buffer{};
          nftnl_expr_snprintf(buffer.data(), buffer.size(), expr, NFTNL_OUTPUT_DEFAULT, 0);
          result.append(buffer.data());
        }
        result.append("]");
        return 0;
      },
      &text);
  return text;
}

}  // namespace berth::agent
