// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/linux_kernel.h -- the Kernel seam over Linux itself: rtnetlink and nftables.
//
//   LinuxKernel kernel(loop);
//   RETURN_IF_ERROR(kernel.Start(core));   // core gets the first state before this returns
//
// Needs CAP_NET_ADMIN and nothing else: no sysctl, no file below /proc or /sys, no helper program. It works in the
// network namespace of the thread that makes the first call. Loop thread only; the loop must outlive it. Calls block
// only while the kernel works: one address takes 60 microseconds, a set of 10,000 addresses 30 milliseconds.
//
// RemoveEverything needs no Start.
#ifndef BERTH_AGENT_EFFECT_KERNEL_LINUX_KERNEL_H_
#define BERTH_AGENT_EFFECT_KERNEL_LINUX_KERNEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/effect/kernel/kernel.h"
#include "common/base/event_loop.h"

namespace berth::agent {

class NetlinkWatch;
class NftSilence;

class LinuxKernel : public Kernel {
 public:
  struct Options {
    int event_buffer_bytes = 8 << 20;  // per netlink event socket; used only when events pile up
  };
  explicit LinuxKernel(EventLoop& loop);
  LinuxKernel(EventLoop& loop, Options options);
  ~LinuxKernel() override;
  LinuxKernel(const LinuxKernel&) = delete;
  LinuxKernel& operator=(const LinuxKernel&) = delete;

  absl::Status Start(Observer& observer) override;
  absl::StatusOr<std::optional<VipInterface>> EnsureVipInterface(const std::string& rule) override;
  absl::Status AddAddress(int ifindex, const IpAddr& address) override;
  void AwaitDelivery(const IpAddr& address, std::function<void(const absl::Status&)> done) override;
  absl::Status RemoveAddress(int ifindex, const IpAddr& address) override;
  absl::Status ApplySilence(const Silence& silence) override;
  absl::Status host_ports_status() const override;
  absl::Status RemoveEverything() override;

  // How often the kernel dropped events and everything was dumped anew.
  std::uint64_t resyncs() const;

 private:
  absl::StatusOr<VipInterface> EnsureOwnInterface();

  std::unique_ptr<NetlinkWatch> watch_;
  std::unique_ptr<NftSilence> silence_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_LINUX_KERNEL_H_
