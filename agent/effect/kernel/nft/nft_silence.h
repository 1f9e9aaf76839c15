// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/nft/nft_silence.h -- keeps the silence in the kernel as it is wanted, and notices who breaks it.
//
// What is in the kernel already is left alone: an agent that restarts, or a second one during an upgrade that wants the
// same, changes nothing (and so two of them never take turns in repairing each other's work). After that a change of
// addresses sends these addresses only, a change of rewrites one chain.
//
// Cost with 10,000 addresses: first time or repair 30 ms, comparison 15 ms, one address more 1 ms.
//
// Loop thread only.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_SILENCE_H_
#define BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_SILENCE_H_

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/kernel/nft/nft_monitor.h"
#include "agent/effect/kernel/nft/nft_ports.h"
#include "agent/effect/kernel/nft/nft_rules.h"
#include "agent/effect/kernel/nft/nft_socket.h"
#include "common/base/event_loop.h"

namespace berth::agent {

class NftSilence {
 public:
  NftSilence(EventLoop& loop, int event_buffer_bytes) : loop_(loop), event_buffer_bytes_(event_buffer_bytes) {}
  NftSilence(const NftSilence&) = delete;
  NftSilence& operator=(const NftSilence&) = delete;
  ~NftSilence();

  // From now on `on_disturbed` is called when somebody else's change leaves our tables other than Apply made them.
  absl::Status Start(std::function<void()> on_disturbed);
  // As Kernel::ApplySilence. A kernel without the ip6 family is good enough while there is no IPv6 address.
  absl::Status Apply(const Silence& silence);
  // As Kernel::host_ports_status.
  const absl::Status& ports_status() const { return ports_status_; }
  // Deletes our tables. OK when there are none, or no nftables at all.
  absl::Status Remove();

 private:
  void OnEvents();
  absl::Status ApplyAddresses(const Silence& silence);
  void AddThoseInKernel(std::set<IpAddr>& addresses);
  absl::Status Reach(const Silence& silence);
  absl::StatusOr<bool> IsInKernel(const Silence& silence);
  void Forget();
  absl::Status Rebuild(const Silence& silence);
  // From what is applied to `silence`, in one transaction.
  absl::Status SendDifference(const Silence& silence);

  EventLoop& loop_;
  const int event_buffer_bytes_;
  NftSocket socket_;
  NftMonitor monitor_;
  std::function<void()> on_disturbed_;
  std::vector<NftFamily> families_ = {NftFamily::kArp, NftFamily::kIp6};
  std::optional<Silence> applied_;  // what we know to be in the kernel; without `guarded` and `open`
  NftPorts ports_{socket_};
  absl::Status ports_status_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NFT_NFT_SILENCE_H_
