// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_rule_builder.h -- builds one rule, expression by expression. Pure.
//
//   NftRulePtr rule = NftRuleBuilder()
//                         .LoadMeta(NFT_META_L4PROTO)
//                         .Equals(&protocol, 1)
//                         .Load(NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16)
//                         .InSet(kNftSet, kNftSetId)
//                         .Count()
//                         .Verdict(NF_DROP);
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_RULE_BUILDER_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_RULE_BUILDER_H_

#include <linux/netfilter/nf_tables.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "agent/effect/kernel/nft/nft_rules.h"

struct nftnl_expr;

namespace berth::agent {

// What is loaded goes to register 1 and is looked at there. A key of several fields is loaded into registers side by
// side, each field padded to 4 bytes; `InSet` looks at all of them.
class NftRuleBuilder {
 public:
  NftRuleBuilder();

  NftRuleBuilder& Load(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t to = NFT_REG_1);
  // `pseudo_header`: what is stored counts in the checksum of the transport's header, which is put right.
  NftRuleBuilder& Store(std::uint32_t base, std::uint32_t offset, std::uint32_t length, bool pseudo_header = false);
  NftRuleBuilder& LoadMeta(std::uint32_t key, std::uint32_t to = NFT_REG_1);
  // The 16 bits at `offset` of the IPv6 extension header `type`; the rule ends where a packet has none.
  NftRuleBuilder& LoadIpv6Extension(std::uint8_t type, std::uint32_t offset);
  NftRuleBuilder& LoadConntrackState();
  NftRuleBuilder& Constant(absl::string_view value);
  NftRuleBuilder& Equals(const void* data, std::size_t size);
  NftRuleBuilder& AnyBitOf(const void* mask, std::size_t size);
  NftRuleBuilder& InSet(const char* name, std::uint32_t id);
  NftRuleBuilder& Count();
  NftRulePtr Verdict(std::uint32_t verdict);

 private:
  nftnl_expr* NewExpr(const char* name);
  NftRuleBuilder& Payload(nftnl_expr* expr, std::uint32_t base, std::uint32_t offset, std::uint32_t length);
  NftRuleBuilder& Compare(std::uint32_t how, const void* data, std::size_t size);

  NftRulePtr rule_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_RULE_BUILDER_H_
