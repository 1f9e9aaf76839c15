// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_reader.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

std::string ChainText(std::uint32_t hook, std::int32_t priority, std::uint32_t policy, absl::string_view type) {
  return absl::StrCat("type ", type, " hook ", hook, " priority ", priority, " policy ", policy);
}

bool IsOurs(const char* table) { return table != nullptr && absl::string_view(table) == kNftTable; }

std::string TextOrEmpty(const char* text) { return text == nullptr ? "" : text; }

// Parses each message of a dump into a libnftnl object and hands those of our table to `take`.
template <typename Object, typename Parse, typename Take>
void ParseInto(const nlmsghdr* message, Object* (*alloc)(), void (*release)(const Object*), Parse parse, Take take) {
  const std::unique_ptr<Object, void (*)(const Object*)> object(alloc(), release);
  if (object != nullptr && parse(message, object.get()) >= 0) take(object.get());
}

absl::Status ReadTable(NftSocket& socket, NftFamily family, NftPicture* picture) {
  return socket.Dump(
      NFT_MSG_GETTABLE, family, [](nlmsghdr*) {}, [&] { picture->present = false; },
      [&](const nlmsghdr* message) {
        ParseInto(message, nftnl_table_alloc, nftnl_table_free, nftnl_table_nlmsg_parse, [&](nftnl_table* table) {
          if (!IsOurs(nftnl_table_get_str(table, NFTNL_TABLE_NAME))) return;
          picture->present = true;
          picture->table_flags = nftnl_table_get_u32(table, NFTNL_TABLE_FLAGS);
        });
      });
}

absl::Status ReadChains(NftSocket& socket, NftFamily family, NftPicture* picture) {
  return socket.Dump(
      NFT_MSG_GETCHAIN, family, [](nlmsghdr*) {}, [&] { picture->chains.clear(); },
      [&](const nlmsghdr* message) {
        ParseInto(message, nftnl_chain_alloc, nftnl_chain_free, nftnl_chain_nlmsg_parse, [&](nftnl_chain* chain) {
          if (!IsOurs(nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE))) return;
          picture->chains[TextOrEmpty(nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME))] =
              ChainText(nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM), nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO),
                        nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY),
                        TextOrEmpty(nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE)));
        });
      });
}

absl::Status ReadRules(NftSocket& socket, NftFamily family, NftPicture* picture) {
  return socket.Dump(
      NFT_MSG_GETRULE, family, [](nlmsghdr* request) { mnl_attr_put_strz(request, NFTA_RULE_TABLE, kNftTable); },
      [&] { picture->rules.clear(); },
      [&](const nlmsghdr* message) {
        ParseInto(message, nftnl_rule_alloc, nftnl_rule_free, nftnl_rule_nlmsg_parse, [&](nftnl_rule* rule) {
          if (!IsOurs(nftnl_rule_get_str(rule, NFTNL_RULE_TABLE))) return;
          picture->rules[TextOrEmpty(nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN))].push_back(NftRuleText(rule));
        });
      });
}

absl::Status ReadSets(NftSocket& socket, NftFamily family, NftPicture* picture) {
  return socket.Dump(
      NFT_MSG_GETSET, family, [](nlmsghdr* request) { mnl_attr_put_strz(request, NFTA_SET_TABLE, kNftTable); },
      [&] { picture->sets.clear(); },
      [&](const nlmsghdr* message) {
        ParseInto(message, nftnl_set_alloc, nftnl_set_free, nftnl_set_nlmsg_parse, [&](nftnl_set* set) {
          if (!IsOurs(nftnl_set_get_str(set, NFTNL_SET_TABLE))) return;
          picture->sets[TextOrEmpty(nftnl_set_get_str(set, NFTNL_SET_NAME))];
        });
      });
}

int TakeElement(nftnl_set_elem* element, void* out) {
  std::uint32_t size = 0;
  const auto* key = static_cast<const char*>(nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &size));
  if (key != nullptr) static_cast<std::vector<NftKey>*>(out)->emplace_back(absl::string_view(key, size));
  return 0;
}

absl::Status ReadElements(NftSocket& socket, NftFamily family, NftPicture* picture) {
  for (auto& [name, elements] : picture->sets) {
    RETURN_IF_ERROR(socket.Dump(
        NFT_MSG_GETSETELEM, family,
        [&](nlmsghdr* request) {
          mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_TABLE, kNftTable);
          mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, name.c_str());
        },
        [&] { elements.clear(); },
        [&](const nlmsghdr* message) {
          ParseInto(message, nftnl_set_alloc, nftnl_set_free, nftnl_set_elems_nlmsg_parse,
                    [&](nftnl_set* set) { nftnl_set_elem_foreach(set, TakeElement, &elements); });
        }));
    std::sort(elements.begin(), elements.end());
  }
  return absl::OkStatus();
}

}  // namespace

NftPicture NftPictureOf(const std::vector<NftChain>& chains) {
  NftPicture picture;
  picture.present = true;
  for (const NftChain& chain : chains) {
    picture.chains[chain.name] = ChainText(chain.hook, 0, NF_ACCEPT, "filter");
    for (const NftRulePtr& rule : chain.rules) picture.rules[chain.name].push_back(NftRuleText(rule.get()));
  }
  return picture;
}

NftPicture NftPictureOf(NftFamily family, const Silence& silence) {
  NftPicture picture = NftPictureOf(NftChainsOf(family, silence));
  std::vector<NftKey>& elements = picture.sets[kNftSet];
  for (const IpAddr& address : silence.addresses) {
    if (NftFamilyOf(address) == family) elements.emplace_back(address);
  }
  std::sort(elements.begin(), elements.end());
  return picture;
}

absl::StatusOr<NftPicture> ReadNftPicture(NftSocket& socket, NftFamily family) {
  NftPicture picture;
  RETURN_IF_ERROR(ReadTable(socket, family, &picture));
  if (!picture.present) return picture;
  for (const auto read : {ReadChains, ReadRules, ReadSets, ReadElements}) {
    const absl::Status status = read(socket, family, &picture);
    // What somebody takes away while we read is not there.
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  return picture;
}

}  // namespace berth::agent
