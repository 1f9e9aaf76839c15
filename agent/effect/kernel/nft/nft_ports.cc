// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/nft/nft_ports.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/effect/kernel/nft/nft_batch.h"
#include "agent/effect/kernel/nft/nft_rule_builder.h"
#include "common/base/status_macros.h"

namespace berth::agent {
namespace {

constexpr char kCure[] =
    "use a kernel with CONFIG_NF_TABLES_INET, or bind the node's own services to the node's addresses only";

// The labels of a key's fields, six bits each (as nft's sources have it).
constexpr std::uint32_t kTypeProtocol = 12;
constexpr std::uint32_t kTypePort = 13;
constexpr std::uint32_t WithPort(std::uint32_t address) { return (address << 12) | (kTypeProtocol << 6) | kTypePort; }

// What differs between the two versions of the protocol.
struct Version {
  std::uint8_t number;                             // NFPROTO_
  std::uint32_t source, destination, length;       // of the addresses in the network header
  std::uint32_t protocol_register, port_register;  // behind an address in register 1, as the kernel numbers them
  NftSet guarded, open;
};
constexpr Version kIpv4 = {.number = NFPROTO_IPV4,
                           .source = 12,
                           .destination = 16,
                           .length = 4,
                           .protocol_register = NFT_REG32_01,
                           .port_register = NFT_REG32_02,
                           .guarded = {.name = "guarded4", .id = 1, .type = kNftTypeIpv4Addr, .length = 4},
                           .open = {.name = "open4", .id = 2, .type = WithPort(kNftTypeIpv4Addr), .length = 12}};
constexpr Version kIpv6 = {.number = NFPROTO_IPV6,
                           .source = 8,
                           .destination = 24,
                           .length = 16,
                           .protocol_register = NFT_REG_2,
                           .port_register = NFT_REG32_05,
                           .guarded = {.name = "guarded6", .id = 3, .type = kNftTypeIpv6Addr, .length = 16},
                           .open = {.name = "open6", .id = 4, .type = WithPort(kNftTypeIpv6Addr), .length = 24}};
constexpr std::array<const Version*, 2> kVersions = {&kIpv4, &kIpv6};

constexpr std::uint32_t kSourcePortOffset = 0;
constexpr std::uint32_t kDestinationPortOffset = 2;
constexpr std::uint32_t kFragmentOffset = 2;  // RFC 8200, section 4.5
constexpr std::array<std::uint8_t, 2> kFragmentOffsetMask = {0xff, 0xf8};
constexpr std::uint32_t kEstablished = 1U << (IP_CT_ESTABLISHED + 1);  // as the expression gives it

NftRuleBuilder Of(const Version& version) {
  NftRuleBuilder rule;
  rule.LoadMeta(NFT_META_NFPROTO).Equals(&version.number, 1);
  return rule;
}

NftRuleBuilder& InOpen(NftRuleBuilder& rule, const Version& version, std::uint32_t address, std::uint32_t port) {
  return rule.Load(NFT_PAYLOAD_NETWORK_HEADER, address, version.length)
      .LoadMeta(NFT_META_L4PROTO, version.protocol_register)
      .Load(NFT_PAYLOAD_TRANSPORT_HEADER, port, 2, version.port_register)
      .InSet(version.open.name, version.open.id);
}

NftRulePtr AcceptDeclared(const Version& version) {
  NftRuleBuilder rule = Of(version);
  return InOpen(rule, version, version.destination, kDestinationPortOffset).Verdict(NF_ACCEPT);
}

NftRulePtr AcceptAnswersOnLoopback(const Version& version) {
  std::array<char, IFNAMSIZ> loopback{'l', 'o'};
  NftRuleBuilder rule = Of(version);
  rule.LoadMeta(NFT_META_IIFNAME).Equals(loopback.data(), loopback.size());
  return InOpen(rule, version, version.source, kSourcePortOffset).Verdict(NF_ACCEPT);
}

NftRulePtr AcceptProtocol(std::uint8_t protocol) {
  return NftRuleBuilder().LoadMeta(NFT_META_L4PROTO).Equals(&protocol, 1).Verdict(NF_ACCEPT);
}

NftRulePtr AcceptLaterFragments() {
  NftRuleBuilder rule = Of(kIpv6);
  return rule.LoadIpv6Extension(IPPROTO_FRAGMENT, kFragmentOffset)
      .AnyBitOf(kFragmentOffsetMask.data(), kFragmentOffsetMask.size())
      .Verdict(NF_ACCEPT);
}

NftRulePtr AcceptEstablished() {
  return NftRuleBuilder().LoadConntrackState().AnyBitOf(&kEstablished, sizeof(kEstablished)).Verdict(NF_ACCEPT);
}

NftRulePtr DropGuarded(const Version& version) {
  NftRuleBuilder rule = Of(version);
  return rule.Load(NFT_PAYLOAD_NETWORK_HEADER, version.destination, version.length)
      .InSet(version.guarded.name, version.guarded.id)
      .Count()
      .Verdict(NF_DROP);
}

// Address, protocol and port, each padded to a whole number of registers.
NftKey KeyOf(const OpenPort& open) {
  std::string key = open.address.ToBytes();
  key.append({static_cast<char>(open.protocol), 0, 0, 0});
  key.append({static_cast<char>(open.port >> 8), static_cast<char>(open.port & 0xff), 0, 0});
  return NftKey(key);
}
NftKey KeyOf(const IpAddr& address) { return NftKey(address); }
const IpAddr& AddressOf(const OpenPort& open) { return open.address; }
const IpAddr& AddressOf(const IpAddr& address) { return address; }

template <typename Item>
std::vector<NftKey> Keys(const Version& version, const std::vector<Item>& items) {
  std::vector<NftKey> keys;
  for (const Item& item : items) {
    if (AddressOf(item).is_v4() == (version.number == NFPROTO_IPV4)) keys.push_back(KeyOf(item));
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

template <typename Item>
std::vector<Item> Without(const std::vector<Item>& these, const std::vector<Item>& those) {
  std::vector<Item> rest;
  std::set_difference(these.begin(), these.end(), those.begin(), those.end(), std::back_inserter(rest));
  return rest;
}

}  // namespace

std::vector<NftChain> NftPortChains(bool conntrack) {
  NftChain input{.family = NftFamily::kInet, .name = "input", .hook = NF_INET_LOCAL_IN, .rules = {}};
  for (const Version* version : kVersions) input.rules.push_back(AcceptDeclared(*version));
  input.rules.push_back(AcceptProtocol(IPPROTO_ICMP));
  input.rules.push_back(AcceptProtocol(IPPROTO_ICMPV6));
  input.rules.push_back(AcceptLaterFragments());
  if (conntrack) input.rules.push_back(AcceptEstablished());
  for (const Version* version : kVersions) input.rules.push_back(AcceptAnswersOnLoopback(*version));
  for (const Version* version : kVersions) input.rules.push_back(DropGuarded(*version));
  std::vector<NftChain> chains;
  chains.push_back(std::move(input));
  return chains;
}

NftPicture NftPortPicture(const Silence& silence, bool conntrack) {
  NftPicture picture = NftPictureOf(NftPortChains(conntrack));
  for (const Version* version : kVersions) {
    picture.sets[version->guarded.name] = Keys(*version, silence.guarded);
    picture.sets[version->open.name] = Keys(*version, silence.open);
  }
  return picture;
}

absl::Status NftPorts::Apply(const Silence& silence) {
  if (hopeless_.has_value()) return *hopeless_;
  if (known_ && SendDifference(silence).ok()) return absl::OkStatus();
  known_ = false;
  wanted_.guarded = silence.guarded;
  wanted_.open = silence.open;
  const absl::StatusOr<bool> there = IsInKernel();
  if (!there.ok() || !*there) RETURN_IF_ERROR(Rebuild());
  known_ = true;
  return absl::OkStatus();
}

bool NftPorts::IsIntact() {
  if (!known_) return true;
  const absl::StatusOr<bool> there = IsInKernel();
  return there.ok() && *there;
}

absl::StatusOr<bool> NftPorts::IsInKernel() {
  ASSIGN_OR_RETURN(const NftPicture picture, ReadNftPicture(socket_, NftFamily::kInet));
  return picture == NftPortPicture(wanted_, conntrack_) || (!picture.present && wanted_.guarded.empty());
}

absl::Status NftPorts::Rebuild() {
  if (wanted_.guarded.empty()) return Remove();
  absl::Status status = RebuildAs(conntrack_);
  if (status.ok() || absl::IsPermissionDenied(status) || absl::IsResourceExhausted(status)) return status;
  // Which expressions a kernel has is found out by trying: it names the one that it lacks by ENOENT, among others.
  if (conntrack_ && RebuildAs(false).ok()) {
    conntrack_ = false;
    return absl::OkStatus();
  }
  hopeless_ = absl::UnimplementedError(absl::StrCat(status.message(), " (", kCure, ")"));
  return *hopeless_;
}

absl::Status NftPorts::RebuildAs(bool conntrack) {
  NftBatch batch;
  batch.ReplaceTable(NftFamily::kInet);
  for (const Version* version : kVersions) {
    batch.AddSet(NftFamily::kInet, version->guarded);
    batch.AddSet(NftFamily::kInet, version->open);
    batch.AddElements(NftFamily::kInet, version->guarded.name, Keys(*version, wanted_.guarded));
    batch.AddElements(NftFamily::kInet, version->open.name, Keys(*version, wanted_.open));
  }
  for (const NftChain& chain : NftPortChains(conntrack)) {
    batch.AddChain(chain);
    batch.AddRules(chain);
  }
  return socket_.Commit(std::move(batch));
}

absl::Status NftPorts::SendDifference(const Silence& silence) {
  if (wanted_.guarded == silence.guarded && wanted_.open == silence.open) return absl::OkStatus();
  const std::vector<OpenPort> shut = Without(wanted_.open, silence.open), open = Without(silence.open, wanted_.open);
  const std::vector<IpAddr> gone = Without(wanted_.guarded, silence.guarded);
  const std::vector<IpAddr> come = Without(silence.guarded, wanted_.guarded);
  NftBatch batch;
  for (const Version* version : kVersions) {
    batch.DeleteElements(NftFamily::kInet, version->guarded.name, Keys(*version, gone));
    batch.DeleteElements(NftFamily::kInet, version->open.name, Keys(*version, shut));
    batch.AddElements(NftFamily::kInet, version->open.name, Keys(*version, open));
    batch.AddElements(NftFamily::kInet, version->guarded.name, Keys(*version, come));
  }
  RETURN_IF_ERROR(socket_.Commit(std::move(batch)));
  wanted_.guarded = silence.guarded;
  wanted_.open = silence.open;
  return absl::OkStatus();
}

absl::Status NftPorts::Remove() {
  known_ = false;
  NftBatch batch;
  batch.DeleteTable(NftFamily::kInet);
  const absl::Status status = socket_.Commit(std::move(batch));
  return absl::IsUnimplemented(status) ? absl::OkStatus() : status;
}

}  // namespace berth::agent
