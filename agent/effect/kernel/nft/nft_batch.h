// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_batch.h -- nftables messages strung together into one transaction: all of it or nothing.
//
//   NftBatch batch;
//   batch.ReplaceTable(NftFamily::kArp);
//   batch.AddSet(NftFamily::kArp, NftSetOf(NftFamily::kArp));
//   batch.AddElements(NftFamily::kArp, kNftSet, {NftKey(*IpAddr::Parse("192.0.2.10"))});
//   RETURN_IF_ERROR(socket.Commit(std::move(batch)));
//
// Everything lies in the table `berth` of the family in question. No I/O here.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_BATCH_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/effect/kernel/nft/nft_rules.h"

namespace berth::agent {

class NftBatch {
 public:
  NftBatch();

  // Deletes the table, if it is there, and whatever is in it.
  void DeleteTable(NftFamily family);
  // An empty table, whatever was there before.
  void ReplaceTable(NftFamily family);
  // An empty set.
  void AddSet(NftFamily family, const NftSet& set);
  void AddChain(const NftChain& chain);
  void FlushChain(const NftChain& chain);
  void AddRules(const NftChain& chain);
  // Adding one that is there is success; deleting one that is not makes the whole transaction fail.
  void AddElements(NftFamily family, const char* set, const std::vector<NftKey>& keys);
  void DeleteElements(NftFamily family, const char* set, const std::vector<NftKey>& keys);

  // Ends the transaction. After that nothing may be added.
  void Finish();
  const std::string& bytes() const { return bytes_; }
  // The sequence number of the one message that the kernel acknowledges when all went well.
  std::uint32_t acknowledged() const { return sequence_ - 1; }
  // What message number `sequence` was to do: "add table arp berth".
  std::string Describe(std::uint32_t sequence) const;

 private:
  void Add(std::uint16_t type, NftFamily family, std::uint16_t flags, std::string what,
           const std::function<void(nlmsghdr*)>& payload);
  void AppendMessage(const nlmsghdr* message);
  void Elements(std::uint16_t type, NftFamily family, const char* set, const std::vector<NftKey>& keys,
                const char* verb);

  std::string bytes_;
  std::vector<char> scratch_;  // one message at a time is built here
  std::map<std::uint32_t, std::string> what_;
  std::uint32_t sequence_ = 0;
  std::size_t last_message_ = 0;  // where in bytes_ it begins
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_BATCH_H_
