// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_reader.h -- our tables as they are in the kernel, and as they should be, to be compared.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_READER_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_READER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/kernel/nft/nft_rules.h"
#include "agent/effect/kernel/nft/nft_socket.h"

namespace berth::agent {

// All that matters of the table `berth` of one family. Equal pictures do the same.
struct NftPicture {
  bool present = false;
  std::uint32_t table_flags = 0;                          // 1: dormant
  std::map<std::string, std::string> chains;              // name -> hook, priority, policy
  std::map<std::string, std::vector<std::string>> rules;  // chain name -> its rules in order
  std::map<std::string, std::vector<NftKey>> sets;        // name -> elements in order
  friend bool operator==(const NftPicture&, const NftPicture&) = default;
};

// What a table with these chains and without sets looks like.
NftPicture NftPictureOf(const std::vector<NftChain>& chains);
// The table that silences `family`: arp or ip6.
NftPicture NftPictureOf(NftFamily family, const Silence& silence);
// Errors: as NftSocket.
absl::StatusOr<NftPicture> ReadNftPicture(NftSocket& socket, NftFamily family);

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_READER_H_
