// SPDX-License-Identifier: Apache-2.0
// tests/fakes/shared_kernel.h -- one node's FakeKernel as seen by each of the agents that run on the node.
//
//   SharedKernel node(world_loop);
//   SharedKernelView view(node, process);       // one for each agent process; destroyed with it
//   node.fake().SetCarrier(2, false);
#ifndef BERTH_TESTS_FAKES_SHARED_KERNEL_H_
#define BERTH_TESTS_FAKES_SHARED_KERNEL_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/fake_kernel.h"
#include "tests/fakes/process_loop.h"

namespace berth::agent {

class SharedKernelView;

class SharedKernel final : Kernel::Observer {
 public:
  explicit SharedKernel(EventLoop& loop) : fake_(loop) { Listen(); }
  FakeKernel& fake() { return fake_; }
  const FakeKernel& fake() const { return fake_; }
  // The node restarts; its agents must have been killed before.
  void Reboot() {
    fake_.Reboot();
    Listen();
  }

 private:
  friend class SharedKernelView;
  void Listen() { (void)fake_.Start(*this); }
  void OnKernelState(std::shared_ptr<const KernelState> state) override;
  void OnSilenceDisturbed() override;

  FakeKernel fake_;
  std::vector<SharedKernelView*> views_;  // in the order of their start: the same in every run
};

class SharedKernelView final : public Kernel {
 public:
  SharedKernelView(SharedKernel& shared, ProcessLoop& process) : shared_(shared), process_(process) {}
  ~SharedKernelView() override { std::erase(shared_.views_, this); }
  SharedKernelView(const SharedKernelView&) = delete;
  SharedKernelView& operator=(const SharedKernelView&) = delete;

  absl::Status Start(Observer& observer) override;
  absl::StatusOr<std::optional<VipInterface>> EnsureVipInterface(const std::string& rule) override {
    return shared_.fake_.EnsureVipInterface(rule);
  }
  absl::Status AddAddress(int ifindex, const IpAddr& address) override {
    return shared_.fake_.AddAddress(ifindex, address);
  }
  void AwaitDelivery(const IpAddr& address, std::function<void(const absl::Status&)> done) override {
    shared_.fake_.AwaitDelivery(address, std::move(done));
  }
  absl::Status RemoveAddress(int ifindex, const IpAddr& address) override {
    return shared_.fake_.RemoveAddress(ifindex, address);
  }
  absl::Status ApplySilence(const Silence& silence) override { return shared_.fake_.ApplySilence(silence); }
  absl::Status host_ports_status() const override { return shared_.fake_.host_ports_status(); }
  absl::Status RemoveEverything() override { return shared_.fake_.RemoveEverything(); }

 private:
  friend class SharedKernel;
  void Tell(std::shared_ptr<const KernelState> state);
  void TellDisturbed();

  SharedKernel& shared_;
  ProcessLoop& process_;
  Observer* observer_ = nullptr;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_FAKES_SHARED_KERNEL_H_
