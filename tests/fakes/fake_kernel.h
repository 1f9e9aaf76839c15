// SPDX-License-Identifier: Apache-2.0
// tests/fakes/fake_kernel.h -- a node's kernel in memory: links that tests add and alter, addresses, the silence.
//
//   FakeKernel kernel(loop);
//   kernel.SetLink({.index = 2, .name = "eth0", .up = true, .carrier = true});
//   kernel.AddForeignAddress(2, *Cidr::Parse("10.9.0.2/24"));
//   agent_core.Start(kernel);
//   CHECK(kernel.silence()->addresses.contains(vip));
//
// Keeps the promises of the Kernel seam (tests/contract/kernel_contract_test.cc runs on it and on Linux alike). What
// changes is told to the observer by a posted task, many changes at once. Loop thread only.
#ifndef BERTH_TESTS_FAKES_FAKE_KERNEL_H_
#define BERTH_TESTS_FAKES_FAKE_KERNEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/effect/kernel/kernel.h"
#include "common/base/event_loop.h"

namespace berth::agent {

class FakeKernel : public Kernel {
 public:
  // The calls that Fail can make fail.
  enum class Call { kStart, kEnsureVipInterface, kAddAddress, kRemoveAddress, kApplySilence, kRemoveEverything };

  // A node with a loopback interface (index 1) and nothing else.
  explicit FakeKernel(EventLoop& loop);
  ~FakeKernel() override;
  FakeKernel(const FakeKernel&) = delete;
  FakeKernel& operator=(const FakeKernel&) = delete;

  absl::Status Start(Observer& observer) override;
  absl::StatusOr<std::optional<VipInterface>> EnsureVipInterface(const std::string& rule) override;
  absl::Status AddAddress(int ifindex, const IpAddr& address) override;
  void AwaitDelivery(const IpAddr& address, std::function<void(const absl::Status&)> done) override;
  absl::Status RemoveAddress(int ifindex, const IpAddr& address) override;
  absl::Status ApplySilence(const Silence& silence) override;
  absl::Status host_ports_status() const override { return host_ports_status_; }
  absl::Status RemoveEverything() override;

  // The world outside the agent.
  void SetLink(Link link);  // adds it, or replaces the one with its index (with addresses and gateways)
  void RemoveLink(int ifindex);
  void SetCarrier(int ifindex, bool carrier);
  void AddForeignAddress(int ifindex, const Cidr& cidr);  // as an administrator or kube-proxy would
  void RemoveForeignAddress(int ifindex, const Cidr& cidr);
  void FlushRuleset();                             // somebody deletes our tables
  void BreakSilence() { silence_works_ = false; }  // the tables are there, and the kernel does not go by them
  // From now on the call returns `status` and does nothing; OK ends that.
  void Fail(Call call, absl::Status status);
  // From now on, until Deliver, the kernel takes in nothing for IPv6 addresses that are added. Those who wait for it
  // are told so by FailDelivery.
  void HoldDelivery() { holds_ = true; }
  void FailDelivery(const absl::Status& status);
  void Deliver();
  // The kernel shuts no ports, and says why; OK ends that.
  void FailHostPorts(absl::Status status) { host_ports_status_ = std::move(status); }
  // The agent's process ended: the observer hears nothing more, and Start may be called again. All else stays.
  void Detach();
  // The node restarts: what an agent made is gone, and so is the silence. Implies Detach.
  void Reboot();

  // What tests look at.
  KernelState state() const;
  const std::map<int, Link>& links() const { return links_; }         // by index
  const std::optional<Silence>& silence() const { return silence_; }  // nullopt: no tables
  // Whether the kernel itself would answer ARP or a solicitation for `address` that comes in by `ifindex`: it has it
  // (on any interface in IPv4, on that one in IPv6) and is not kept silent.
  bool WouldAnswer(int ifindex, const IpAddr& address) const;
  bool IsLocal(const IpAddr& address) const;
  // Whether what comes for that port reaches what listens there, on an address that is local.
  bool Admits(const IpAddr& address, std::uint8_t protocol, std::uint16_t port) const;
  int calls(Call call) const;                         // how often it was made, failures included
  std::uint64_t version() const { return version_; }  // another after each change of addresses or silence

 private:
  absl::Status Enter(Call call);
  void Changed();
  VipInterface EnsureOwn();

  EventLoop& loop_;
  std::map<int, Link> links_;
  std::optional<Silence> silence_;
  bool silence_works_ = true;
  Observer* observer_ = nullptr;
  std::shared_ptr<const KernelState> published_;
  std::map<Call, absl::Status> failures_;
  std::map<Call, int> calls_;
  absl::Status host_ports_status_;
  bool holds_ = false;
  std::vector<std::function<void(const absl::Status&)>> held_;
  bool posted_ = false;
  std::uint64_t version_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // posted tasks outlive neither us nor a Detach
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_FAKES_FAKE_KERNEL_H_
