// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_batch.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::agent {
namespace {

constexpr std::size_t kScratchBytes = 128 * 1024;
// The list of elements is one attribute, whose length has 16 bits; the longest element takes 36 bytes.
constexpr std::size_t kElementsPerMessage = 1000;

std::uint16_t Number(NftFamily family) { return static_cast<std::uint16_t>(family); }
std::string TableText(NftFamily family) { return absl::StrCat(NftFamilyName(family), " ", kNftTable); }

using TablePtr = std::unique_ptr<nftnl_table, decltype(&nftnl_table_free)>;
using ChainPtr = std::unique_ptr<nftnl_chain, decltype(&nftnl_chain_free)>;
using SetPtr = std::unique_ptr<nftnl_set, decltype(&nftnl_set_free)>;

TablePtr NewTable() {
  TablePtr table(nftnl_table_alloc(), nftnl_table_free);
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, kNftTable);
  return table;
}

SetPtr NewSet(const char* name) {
  SetPtr set(nftnl_set_alloc(), nftnl_set_free);
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, kNftTable);
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, name);
  return set;
}

}  // namespace

NftBatch::NftBatch() : scratch_(kScratchBytes) { AppendMessage(nftnl_batch_begin(scratch_.data(), sequence_++)); }

void NftBatch::AppendMessage(const nlmsghdr* message) {
  last_message_ = bytes_.size();
  bytes_.append(scratch_.data(), MNL_ALIGN(message->nlmsg_len));
  std::fill_n(scratch_.begin(), MNL_ALIGN(message->nlmsg_len), '\0');
}

void NftBatch::Add(std::uint16_t type, NftFamily family, std::uint16_t flags, std::string what,
                   const std::function<void(nlmsghdr*)>& payload) {
  nlmsghdr* message = nftnl_nlmsg_build_hdr(scratch_.data(), type, Number(family), flags, sequence_);
  payload(message);
  what_.emplace(sequence_++, std::move(what));
  AppendMessage(message);
}

void NftBatch::DeleteTable(NftFamily family) {
  const TablePtr table = NewTable();
  const auto payload = [&](nlmsghdr* message) { nftnl_table_nlmsg_build_payload(message, table.get()); };
  // Deleting what is not there would be an error; so it is made first.
  Add(NFT_MSG_NEWTABLE, family, NLM_F_CREATE, absl::StrCat("add table ", TableText(family)), payload);
  Add(NFT_MSG_DELTABLE, family, 0, absl::StrCat("delete table ", TableText(family)), payload);
}

void NftBatch::ReplaceTable(NftFamily family) {
  DeleteTable(family);
  const TablePtr table = NewTable();
  Add(NFT_MSG_NEWTABLE, family, NLM_F_CREATE, absl::StrCat("add table ", TableText(family)),
      [&](nlmsghdr* message) { nftnl_table_nlmsg_build_payload(message, table.get()); });
}

void NftBatch::AddSet(NftFamily family, const NftSet& set) {
  const SetPtr made = NewSet(set.name);
  nftnl_set_set_u32(made.get(), NFTNL_SET_ID, set.id);
  nftnl_set_set_u32(made.get(), NFTNL_SET_FAMILY, Number(family));
  nftnl_set_set_u32(made.get(), NFTNL_SET_KEY_TYPE, set.type);
  nftnl_set_set_u32(made.get(), NFTNL_SET_KEY_LEN, set.length);
  Add(NFT_MSG_NEWSET, family, NLM_F_CREATE, absl::StrCat("add set ", TableText(family), " ", set.name),
      [&](nlmsghdr* message) { nftnl_set_nlmsg_build_payload(message, made.get()); });
}

void NftBatch::AddChain(const NftChain& chain) {
  const ChainPtr made(nftnl_chain_alloc(), nftnl_chain_free);
  nftnl_chain_set_str(made.get(), NFTNL_CHAIN_TABLE, kNftTable);
  nftnl_chain_set_str(made.get(), NFTNL_CHAIN_NAME, chain.name);
  nftnl_chain_set_str(made.get(), NFTNL_CHAIN_TYPE, "filter");
  nftnl_chain_set_u32(made.get(), NFTNL_CHAIN_HOOKNUM, chain.hook);
  nftnl_chain_set_s32(made.get(), NFTNL_CHAIN_PRIO, 0);
  nftnl_chain_set_u32(made.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  Add(NFT_MSG_NEWCHAIN, chain.family, NLM_F_CREATE,
      absl::StrCat("add chain ", TableText(chain.family), " ", chain.name),
      [&](nlmsghdr* message) { nftnl_chain_nlmsg_build_payload(message, made.get()); });
}

void NftBatch::FlushChain(const NftChain& chain) {
  const NftRulePtr all(nftnl_rule_alloc());
  nftnl_rule_set_str(all.get(), NFTNL_RULE_TABLE, kNftTable);
  nftnl_rule_set_str(all.get(), NFTNL_RULE_CHAIN, chain.name);
  Add(NFT_MSG_DELRULE, chain.family, 0, absl::StrCat("flush chain ", TableText(chain.family), " ", chain.name),
      [&](nlmsghdr* message) { nftnl_rule_nlmsg_build_payload(message, all.get()); });
}

void NftBatch::AddRules(const NftChain& chain) {
  for (const NftRulePtr& rule : chain.rules) {
    nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, kNftTable);
    nftnl_rule_set_str(rule.get(), NFTNL_RULE_CHAIN, chain.name);
    nftnl_rule_set_u32(rule.get(), NFTNL_RULE_FAMILY, Number(chain.family));
    Add(NFT_MSG_NEWRULE, chain.family, NLM_F_CREATE | NLM_F_APPEND,
        absl::StrCat("add rule ", TableText(chain.family), " ", chain.name),
        [&](nlmsghdr* message) { nftnl_rule_nlmsg_build_payload(message, rule.get()); });
  }
}

void NftBatch::AddElements(NftFamily family, const char* set, const std::vector<NftKey>& keys) {
  Elements(NFT_MSG_NEWSETELEM, family, set, keys, "add");
}

void NftBatch::DeleteElements(NftFamily family, const char* set, const std::vector<NftKey>& keys) {
  Elements(NFT_MSG_DELSETELEM, family, set, keys, "delete");
}

void NftBatch::Elements(std::uint16_t type, NftFamily family, const char* set, const std::vector<NftKey>& keys,
                        const char* verb) {
  for (std::size_t begin = 0; begin < keys.size(); begin += kElementsPerMessage) {
    const std::size_t end = std::min(begin + kElementsPerMessage, keys.size());
    const SetPtr part = NewSet(set);
    for (std::size_t i = begin; i < end; ++i) {
      nftnl_set_elem* element = nftnl_set_elem_alloc();  // owned by the set from now on
      nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, keys[i].bytes.data(), keys[i].size);
      nftnl_set_elem_add(part.get(), element);
    }
    Add(type, family, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
        absl::StrCat(verb, " elements of set ", TableText(family), " ", set),
        [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, part.get()); });
  }
}

void NftBatch::Finish() {
  // Only the last message asks for an acknowledgement; failures are reported unasked.
  nlmsghdr last{};
  bytes_.copy(reinterpret_cast<char*>(&last), sizeof(last), last_message_);
  last.nlmsg_flags |= NLM_F_ACK;
  bytes_.replace(last_message_, sizeof(last), reinterpret_cast<const char*>(&last), sizeof(last));
  AppendMessage(nftnl_batch_end(scratch_.data(), sequence_));
}

std::string NftBatch::Describe(std::uint32_t sequence) const {
  const auto it = what_.find(sequence);
  return it == what_.end() ? "commit" : it->second;
}

}  // namespace berth::agent
