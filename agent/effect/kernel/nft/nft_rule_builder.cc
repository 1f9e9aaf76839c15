// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_rule_builder.h"

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

#include <string>
#include <utility>

namespace berth::agent {

NftRuleBuilder::NftRuleBuilder() : rule_(nftnl_rule_alloc()) {}

NftRuleBuilder& NftRuleBuilder::Load(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t to) {
  nftnl_expr* load = NewExpr("payload");
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_DREG, to);
  return Payload(load, base, offset, length);
}

NftRuleBuilder& NftRuleBuilder::Store(std::uint32_t base, std::uint32_t offset, std::uint32_t length,
                                      bool pseudo_header) {
  nftnl_expr* store = NewExpr("payload");
  nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_SREG, NFT_REG_1);
  nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_NONE);
  nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, 0);
  nftnl_expr_set_u32(store, NFTNL_EXPR_PAYLOAD_FLAGS, pseudo_header ? NFT_PAYLOAD_L4CSUM_PSEUDOHDR : 0);
  return Payload(store, base, offset, length);
}

NftRuleBuilder& NftRuleBuilder::LoadMeta(std::uint32_t key, std::uint32_t to) {
  nftnl_expr* meta = NewExpr("meta");
  nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, key);
  nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, to);
  return *this;
}

NftRuleBuilder& NftRuleBuilder::LoadIpv6Extension(std::uint8_t type, std::uint32_t offset) {
  nftnl_expr* header = NewExpr("exthdr");
  nftnl_expr_set_u32(header, NFTNL_EXPR_EXTHDR_DREG, NFT_REG_1);
  nftnl_expr_set_u8(header, NFTNL_EXPR_EXTHDR_TYPE, type);
  nftnl_expr_set_u32(header, NFTNL_EXPR_EXTHDR_OFFSET, offset);
  nftnl_expr_set_u32(header, NFTNL_EXPR_EXTHDR_LEN, 2);
  nftnl_expr_set_u32(header, NFTNL_EXPR_EXTHDR_FLAGS, 0);
  nftnl_expr_set_u32(header, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_IPV6);
  return *this;
}

NftRuleBuilder& NftRuleBuilder::LoadConntrackState() {
  nftnl_expr* state = NewExpr("ct");
  nftnl_expr_set_u32(state, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
  nftnl_expr_set_u32(state, NFTNL_EXPR_CT_DREG, NFT_REG_1);
  return *this;
}

NftRuleBuilder& NftRuleBuilder::Constant(absl::string_view value) {
  nftnl_expr* constant = NewExpr("immediate");
  nftnl_expr_set_u32(constant, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
  nftnl_expr_set(constant, NFTNL_EXPR_IMM_DATA, value.data(), static_cast<std::uint32_t>(value.size()));
  return *this;
}

NftRuleBuilder& NftRuleBuilder::Equals(const void* data, std::size_t size) { return Compare(NFT_CMP_EQ, data, size); }

NftRuleBuilder& NftRuleBuilder::AnyBitOf(const void* mask, std::size_t size) {
  const std::string zero(size, '\0');
  nftnl_expr* bits = NewExpr("bitwise");
  nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
  nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
  nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
  nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_LEN, static_cast<std::uint32_t>(size));
  nftnl_expr_set(bits, NFTNL_EXPR_BITWISE_MASK, mask, static_cast<std::uint32_t>(size));
  nftnl_expr_set(bits, NFTNL_EXPR_BITWISE_XOR, zero.data(), static_cast<std::uint32_t>(size));
  return Compare(NFT_CMP_NEQ, zero.data(), size);
}

NftRuleBuilder& NftRuleBuilder::InSet(const char* name, std::uint32_t id) {
  nftnl_expr* lookup = NewExpr("lookup");
  nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
  nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, name);
  nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SET_ID, id);
  nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS, 0);  // as the kernel gives it back, for NftRuleText
  return *this;
}

NftRuleBuilder& NftRuleBuilder::Count() {
  NewExpr("counter");
  return *this;
}

NftRulePtr NftRuleBuilder::Verdict(std::uint32_t verdict) {
  nftnl_expr* immediate = NewExpr("immediate");
  nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
  nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, verdict);
  return std::move(rule_);
}

nftnl_expr* NftRuleBuilder::NewExpr(const char* name) {
  nftnl_expr* expr = nftnl_expr_alloc(name);
  nftnl_rule_add_expr(rule_.get(), expr);  // owned by the rule from now on
  return expr;
}

NftRuleBuilder& NftRuleBuilder::Payload(nftnl_expr* expr, std::uint32_t base, std::uint32_t offset,
                                        std::uint32_t length) {
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
  nftnl_expr_set_u32(expr, NFTNL_EXPR_PAYLOAD_LEN, length);
  return *this;
}

NftRuleBuilder& NftRuleBuilder::Compare(std::uint32_t how, const void* data, std::size_t size) {
  nftnl_expr* compare = NewExpr("cmp");
  nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
  nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_OP, how);
  nftnl_expr_set(compare, NFTNL_EXPR_CMP_DATA, data, static_cast<std::uint32_t>(size));
  return *this;
}

}  // namespace berth::agent
