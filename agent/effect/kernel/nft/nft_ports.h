// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_ports.h -- keeps ports of the node itself from being reached through addresses of
// Services.
//
// As `nft list` would print it, for IPv4; the same stands there for IPv6, with @guarded6 and @open6:
//
//   table inet berth {
//     input: daddr . protocol . dport in @open4: accept
//            icmp, icmpv6: accept
//            IPv6, a fragment but the first: accept   (alone it is nothing, and its first one is judged)
//            connection established: accept           (answers to what the node itself began from such an address)
//            iif lo, saddr . protocol . sport in @open4: accept   (the same where there is no connection tracking)
//            daddr in @guarded4: drop
//   }
//
// What kube-proxy translates has another destination by then. IPv4 has no fragments left there.
//
// There is no table while nothing is to be guarded: so connections are tracked only on nodes that need it.
//
// Cost with 10,000 addresses of one port each: first time or repair 60 ms, one address more 0.1 ms.
//
// Loop thread only.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_PORTS_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_PORTS_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/kernel/nft/nft_reader.h"
#include "agent/effect/kernel/nft/nft_rules.h"
#include "agent/effect/kernel/nft/nft_socket.h"

namespace berth::agent {

// The table's chain. `conntrack`: the kernel can tell what belongs to a connection that was let in.
std::vector<NftChain> NftPortChains(bool conntrack);
// The table for `silence`, of which only `guarded` and `open` count.
NftPicture NftPortPicture(const Silence& silence, bool conntrack);

class NftPorts {
 public:
  explicit NftPorts(NftSocket& socket) : socket_(socket) {}

  // Makes the table be what `guarded` and `open` say. Errors: Unimplemented when the kernel cannot hold such a table,
  // which is not tried again; the message names the cure; else as NftSocket.
  absl::Status Apply(const Silence& silence);
  // Whether the kernel has what was last applied. True when there is nothing to be had.
  bool IsIntact();
  // What was applied may be in the kernel no more.
  void Forget() { known_ = false; }
  // As NftSilence::Remove.
  absl::Status Remove();

 private:
  absl::StatusOr<bool> IsInKernel();
  absl::Status Rebuild();
  absl::Status RebuildAs(bool conntrack);
  absl::Status SendDifference(const Silence& silence);

  NftSocket& socket_;
  bool conntrack_ = true;
  std::optional<absl::Status> hopeless_;
  Silence wanted_;      // `guarded` and `open` only
  bool known_ = false;  // `wanted_` is in the kernel, as far as we know
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_PORTS_H_
