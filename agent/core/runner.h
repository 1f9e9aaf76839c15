// SPDX-License-Identifier: Apache-2.0
// agent/core/runner.h -- joins the core to the world: events in from the seams, effects out to them.
//
//   AgentRunner runner(config, {loop, kernel, frames, controller, disk}, [&](int code) { ... });
//   RETURN_IF_ERROR(runner.Start());
//   runner.Terminate();   // SIGTERM; the exit callback follows once everything is handed over
//
// The same class runs over the real seams in berth-agent and over fakes in the whole-cluster tests. It owns the agent's
// one timer. Kernel operations are carried out in order, at most kKernelSlice per turn of the loop, so that ten
// thousand addresses never hold up heartbeats.
#ifndef BERTH_AGENT_CORE_RUNNER_H_
#define BERTH_AGENT_CORE_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "agent/core/agent_core.h"
#include "agent/desired/disk_store.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/l2/frame_port.h"
#include "agent/health/node_facts.h"
#include "agent/link/link.h"
#include "agent/peer/peer_port.h"
#include "common/base/event_loop.h"

namespace berth::agent {

// Borrowed; all must outlive the runner. None may be started already: the runner starts them as their observer.
struct AgentSeams {
  EventLoop& loop;
  Kernel& kernel;
  FramePort& frames;
  ControllerPort& controller;
  DiskStore& disk;
  PeerPort* peers = nullptr;   // null: no probes among agents
  NodeReader* node = nullptr;  // null: the node's settings are not judged
};

// Loop thread only. To take an agent away without its farewell (a crash, in a test), destroy the runner; its ports call
// no observer once they are destroyed or stopped, and must not call this one afterwards.
class AgentRunner final : Kernel::Observer, FramePort::Observer, ControllerPort::Observer, PeerPort::Observer {
 public:
  static constexpr std::size_t kKernelSlice = 256;

  // `on_exit` is called once, from a turn of its own, after the controller's link was stopped. The runner may be
  // destroyed there.
  AgentRunner(AgentConfig config, AgentSeams seams, std::function<void(int code)> on_exit);
  ~AgentRunner() override;
  AgentRunner(const AgentRunner&) = delete;
  AgentRunner& operator=(const AgentRunner&) = delete;

  // Loads the disk's state and starts kernel, frames and controller. Errors: of Kernel::Start, FramePort::Start and
  // ControllerPort::Start. A disk that cannot be read is logged, and no error.
  absl::Status Start();
  void Terminate();

  const AgentCore& core() const { return core_; }
  std::uint64_t conflicts() const { return conflicts_; }
  std::uint64_t drift_repairs() const { return drift_repairs_; }
  std::uint64_t take_overs() const { return take_overs_; }

 private:
  using KernelOp = std::variant<EnsureVipInterface, AddAddress, RemoveAddress, ApplySilence, RemoveEverything>;

  void OnKernelState(std::shared_ptr<const KernelState> state) override;
  void OnSilenceDisturbed() override;
  void OnSighting(const Sighting& sighting) override;
  void OnInterfaceError(int ifindex, const absl::Status& status) override;
  void OnInterfaceOpen(int ifindex) override;
  void OnLinkUp() override;
  void OnControllerMessage(sync::ControllerMessage message) override;
  void OnLinkDown(const absl::Status& why) override;
  void OnPeerPacket(PeerPacket packet) override;

  void Feed(Event event);
  void Drain();
  void Do(Effect effect);
  void CountOne(Count::What what);
  void DoStore(Store effect);
  void DoExit(int code);
  void Leave();
  void ArmTimer(absl::Time at);
  void AwaitElder();
  void PostKernelSlice();
  void RunKernelSlice();
  void NoteAddress(AddressResult result);
  void TellAddresses();
  void PostGuarded(void (AgentRunner::*method)());

  AgentSeams seams_;
  const std::function<void(int)> on_exit_;
  const std::string vip_rule_;
  AgentCore core_;
  std::deque<Event> events_;  // an effect may cause an event while another is handled
  bool draining_ = false;
  std::deque<KernelOp> kernel_ops_;
  bool slice_posted_ = false, in_slice_ = false;
  AddressesDone addresses_done_;  // not told yet
  TimerId elder_timer_ = 0;
  TimerId timer_ = 0;
  absl::Time timer_at_ = absl::InfiniteFuture();
  bool exited_ = false;
  std::optional<int> exit_code_;
  std::uint64_t conflicts_ = 0;
  std::uint64_t drift_repairs_ = 0;
  std::uint64_t take_overs_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // tasks posted to the loop look here first
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_CORE_RUNNER_H_
