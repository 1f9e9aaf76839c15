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

#include <array>
#include <utility>

#include "absl/strings/string_view.h"

namespace berth::agent {
namespace {

// The set's number within a transaction, as in nft_batch.cc.
constexpr std::uint32_t kSetId = 1;

// Ethernet and IPv4 ARP: fixed part (hardware, protocol, lengths, operation), then sender and target (RFC 826).
constexpr std::array<std::uint8_t, 8> kArpRequest = {0, 1, 8, 0, 6, 4, 0, 1};
constexpr std::array<std::uint8_t, 8> kArpReply = {0, 1, 8, 0, 6, 4, 0, 2};
constexpr std::uint32_t kArpSenderOffset = 14;
constexpr std::uint32_t kArpTargetOffset = 24;
// Neighbour solicitation and advertisement: target address after type, code, checksum and flags (RFC 4861, section 4).
constexpr std::uint32_t kNdTargetOffset = 8;
constexpr std::uint32_t kIpv6SourceOffset = 8;  // RFC 8200, section 3

// Builds one rule, expression by expression. All of them work on one register.
class RuleBuilder {
 public:
  RuleBuilder() : rule_(nftnl_rule_alloc()) {}

  RuleBuilder& Load(std::uint32_t base, std::uint32_t offset, std::uint32_t length) {
    nftnl_expr* load = NewExpr("payload");
    nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
    return Payload(load, base, offset, length);
  }
  // `pseudo_header`: what is stored counts in the checksum of the transport's header, which is put right.
  RuleBuilder& Store(std::uint32_t base, std::uint32_t offset, std::uint32_t length, bool pseudo_header = false) {
    nftnl_expr* store = NewExpr("payload");
    nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_SREG, NFT_REG_1);
    nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_NONE);
    nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, 0);
    nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_FLAGS, pseudo_header ? NFT_PAYLOAD_L4CSUM_PSEUDOHDR : 0);
    return Payload(store, base, offset, length);
  }
  RuleBuilder& LoadMeta(std::uint32_t key) {
    nftnl_expr* meta = NewExpr("meta");
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, NFT_REG_1);
    return *this;
  }
  RuleBuilder& Constant(absl::string_view value) {
    nftnl_expr* constant = NewExpr("immediate");
    nftnl_expr_set_u32(constant, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
    nftnl_expr_set(constant, NFTNL_EXPR_IMM_DATA, value.data(), static_cast<std::uint32_t>(value.size()));
    return *this;
  }
  RuleBuilder& Equals(const void* data, std::size_t size) {
    nftnl_expr* compare = NewExpr("cmp");
    nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
    nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
    nftnl_expr_set(compare, NFTNL_EXPR_CMP_DATA, data, static_cast<std::uint32_t>(size));
    return *this;
  }
  RuleBuilder& InSet() {
    nftnl_expr* lookup = NewExpr("lookup");
    nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
    nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, kNftSet);
    nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SET_ID, kSetId);
    nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS, 0);  // as the kernel gives it back, for NftRuleText
    return *this;
  }
  RuleBuilder& Count() {
    NewExpr("counter");
    return *this;
  }
  NftRulePtr Verdict(std::uint32_t verdict) {
    nftnl_expr* immediate = NewExpr("immediate");
    nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, verdict);
    return std::move(rule_);
  }

 private:
  nftnl_expr* NewExpr(const char* name) {
    nftnl_expr* expr = nftnl_expr_alloc(name);
    nftnl_rule_add_expr(rule_.get(), expr);  // owned by the rule from now on
    return expr;
  }
  RuleBuilder& Payload(nftnl_expr* expr, std::uint32_t base, std::uint32_t offset, std::uint32_t length) {
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, length);
    return *this;
  }
  NftRulePtr rule_;
};

RuleBuilder ArpOperation(const std::array<std::uint8_t, 8>& operation) {
  RuleBuilder rule;
  rule.Load(NFT_PAYLOAD_NETWORK_HEADER, 0, operation.size()).Equals(operation.data(), operation.size());
  return rule;
}

NftRulePtr DropArp(const std::array<std::uint8_t, 8>& operation, std::uint32_t address_offset) {
  RuleBuilder rule = ArpOperation(operation);
  return rule.Load(NFT_PAYLOAD_NETWORK_HEADER, address_offset, 4).InSet().Count().Verdict(NF_DROP);
}

std::array<char, IFNAMSIZ> Padded(const std::string& interface) {
  std::array<char, IFNAMSIZ> name{};
  interface.copy(name.data(), name.size() - 1);
  return name;
}

NftRulePtr RewriteSender(const std::string& interface, const IpAddr& own) {
  const std::array<char, IFNAMSIZ> name = Padded(interface);
  RuleBuilder rule = ArpOperation(kArpRequest);
  return rule.LoadMeta(NFT_META_OIFNAME)
      .Equals(name.data(), name.size())
      .Load(NFT_PAYLOAD_NETWORK_HEADER, kArpSenderOffset, 4)
      .InSet()
      .Constant(own.ToBytes())
      .Store(NFT_PAYLOAD_NETWORK_HEADER, kArpSenderOffset, 4)
      .Count()
      .Verdict(NF_ACCEPT);
}

RuleBuilder IcmpType(std::uint8_t type) {
  const std::uint8_t protocol = IPPROTO_ICMPV6;
  RuleBuilder rule;
  rule.LoadMeta(NFT_META_L4PROTO).Equals(&protocol, 1).Load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1).Equals(&type, 1);
  return rule;
}

NftRulePtr DropTarget(std::uint8_t icmp_type) {
  RuleBuilder rule = IcmpType(icmp_type);
  return rule.Load(NFT_PAYLOAD_TRANSPORT_HEADER, kNdTargetOffset, 16).InSet().Count().Verdict(NF_DROP);
}

NftRulePtr RewriteSource(const std::string& interface, const IpAddr& own) {
  const std::array<char, IFNAMSIZ> name = Padded(interface);
  RuleBuilder rule = IcmpType(ND_NEIGHBOR_SOLICIT);
  return rule.LoadMeta(NFT_META_OIFNAME)
      .Equals(name.data(), name.size())
      .Load(NFT_PAYLOAD_NETWORK_HEADER, kIpv6SourceOffset, 16)
      .InSet()
      .Constant(own.ToBytes())
      .Store(NFT_PAYLOAD_NETWORK_HEADER, kIpv6SourceOffset, 16, /*pseudo_header=*/true)
      .Count()
      .Verdict(NF_ACCEPT);
}

NftRulePtr DropSource() {
  RuleBuilder rule = IcmpType(ND_NEIGHBOR_SOLICIT);
  return rule.Load(NFT_PAYLOAD_NETWORK_HEADER, kIpv6SourceOffset, 16).InSet().Count().Verdict(NF_DROP);
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

const char* NftFamilyName(NftFamily family) { return family == NftFamily::kArp ? "arp" : "ip6"; }

void NftRuleFree::operator()(nftnl_rule* rule) const { nftnl_rule_free(rule); }

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
