// SPDX-License-Identifier: Apache-2.0
// tests/net/kernel/lab.h -- a node and a peer on one wire, each in a network namespace of its own, with a real kernel.
//
//   Lab lab;                                   // we are in the node's namespace from here on
//   LinuxKernel kernel(lab.loop());
//   REQUIRE(kernel.Start(lab.observer()).ok());
//   lab.Node("ip link set eth0 down");
//   CHECK(lab.Await([&] { return !lab.Link("eth0")->up; }));
#ifndef BERTH_TESTS_NET_KERNEL_LAB_H_
#define BERTH_TESTS_NET_KERNEL_LAB_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "agent/effect/kernel/kernel.h"
#include "common/base/real_event_loop.h"

namespace berth::agent {

// A namespace, alive as long as the object.
class Netns {
 public:
  static Netns Current();
  static Netns Create();  // does not enter it
  Netns(Netns&& other) noexcept;
  Netns& operator=(Netns&&) = delete;
  ~Netns();
  void Enter() const;
  // A path by which iproute2 run from this process finds it.
  std::string path() const;

 private:
  explicit Netns(int fd) : fd_(fd) {}
  int fd_;
};

struct RecordingObserver : Kernel::Observer {
  void OnKernelState(std::shared_ptr<const KernelState> s) override {
    state = std::move(s);
    ++states;
  }
  void OnSilenceDisturbed() override {
    ++disturbed;
    if (on_disturbed) on_disturbed();
  }
  std::shared_ptr<const KernelState> state;
  int states = 0;
  int disturbed = 0;
  std::function<void()> on_disturbed;
};

inline IpAddr Ip(const char* text) { return *IpAddr::Parse(text); }

// node: lo, eth0 02:00:00:00:00:02 10.9.0.2/24 fd00::2/64     peer: p0 02:00:00:00:00:01 10.9.0.1/24 fd00::1/64
class Lab {
 public:
  Lab();
  ~Lab();
  RealEventLoop& loop() { return *loop_; }
  RecordingObserver& observer() { return observer_; }
  const Netns& node() const { return node_; }
  const Netns& peer() const { return peer_; }
  // Runs a shell command there; the test fails when it does.
  void Node(const std::string& command);
  void Peer(const std::string& command);
  // What a command prints in the node's namespace.
  std::string Read(const std::string& command);
  // Runs the loop until `done` is true. False after `deadline`.
  bool Await(const std::function<bool()>& done, absl::Duration deadline = absl::Seconds(20));
  // Runs the loop until everything it has been told so far is worked off: fds that are ready now, tasks, due timers.
  void Settle();

  const berth::agent::Link* Link(const std::string& name) const { return observer_.state->Find(name); }
  bool Has(const std::string& link, const std::string& cidr) const;

 private:
  Netns home_, node_, peer_;
  std::unique_ptr<RealEventLoop> loop_;
  RecordingObserver observer_;
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_NET_KERNEL_LAB_H_
