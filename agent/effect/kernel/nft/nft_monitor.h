// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_monitor.h -- hears every change of nftables and tells which were made to our tables by
// others.
//
// Who made a change is told by the netlink port in its event. (The process id in it is that of the outermost namespace,
// which a process in a container cannot compare with its own.)
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_MONITOR_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_MONITOR_H_

#include <cstdint>

#include "absl/status/status.h"
#include "agent/effect/kernel/nft/nft_socket.h"

namespace berth::agent {

class NftMonitor {
 public:
  // Errors: as NftSocket.
  absl::Status Open(int buffer_bytes);
  bool is_open() const { return socket_ != nullptr; }
  int fd() const;
  // Reads all that is queued. True when somebody other than `own_port` may have touched a table of ours: an event says
  // so, or events were lost.
  bool Drain(std::uint32_t own_port);

 private:
  MnlSocketPtr socket_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_MONITOR_H_
