// SPDX-License-Identifier: Apache-2.0
// agent/effect/kernel/netlink/netlink_watch.h -- the node's links, addresses and gateways, always as the kernel has
// them.
//
// Subscribes first and dumps then, so that no change falls between. Events are applied one by one; a dump follows only
// where they do not suffice: the kernel ran out of buffer for us, or routes changed (of which it does not tell all).
//
// Cost: 10,000 addresses dump in about 10 ms, an event takes microseconds. However fast things change, the callback is
// called at most once per kMinInterval (the first time at once), and routes are dumped so that it takes at most a tenth
// of the loop's time.
//
// Loop thread only.
#ifndef BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_WATCH_H_
#define BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/time/time.h"
#include "agent/effect/kernel/kernel.h"
#include "agent/effect/kernel/netlink/link_table.h"
#include "agent/effect/kernel/netlink/netlink_socket.h"
#include "common/base/event_loop.h"

namespace berth::agent {

class NetlinkWatch {
 public:
  using StateFn = std::function<void(std::shared_ptr<const KernelState>)>;
  static constexpr absl::Duration kMinInterval = absl::Milliseconds(20);
  // A worker of the kernel needs microseconds to milliseconds, and now and then the lock that all who change interfaces
  // share.
  static constexpr absl::Duration kPatience = absl::Seconds(3);

  // `event_buffer_bytes`: what the kernel may queue for us before it drops events (which costs a dump).
  NetlinkWatch(EventLoop& loop, int event_buffer_bytes) : loop_(loop), event_buffer_bytes_(event_buffer_bytes) {}
  NetlinkWatch(const NetlinkWatch&) = delete;
  NetlinkWatch& operator=(const NetlinkWatch&) = delete;
  ~NetlinkWatch();

  // Opens, subscribes and dumps, unless done already. Enough for the table and for requests, without a running loop.
  absl::Status Open();
  // Opens, watches from now on, and calls `on_state` with the first state before returning.
  absl::Status Start(StateFn on_state);

  // Applies all that the kernel has queued, so that table() is the state of this moment (the kernel queues events
  // within the call that causes them). The callback is not called from here but soon after, from the loop.
  absl::Status Refresh();
  const LinkTable& table() const { return table_; }
  // Takes an address that the kernel just accepted into the table. Its event comes too, but for IPv6 only once a worker
  // of the kernel has got round to it.
  void NoteAdded(int ifindex, const LinkAddress& address);
  // Calls `done` once the kernel takes in what comes for that IPv6 address: before this returns, or from the loop (or
  // from Refresh). Errors: DeadlineExceeded after kPatience. Not called any more once this is destroyed.
  using DoneFn = std::function<void(const absl::Status&)>;
  void AwaitDelivery(const IpAddr& address, DoneFn done);
  NetlinkSocket& requests() { return requests_; }

  std::uint64_t resyncs() const { return resyncs_; }  // how often events were lost and everything was dumped anew

 private:
  struct Waiting {
    TimerId timer = 0;
    DoneFn done;
  };
  using WaitingMap = std::multimap<IpAddr, Waiting>;
  absl::Status DumpLinksAndAddresses();  // and which of these are delivered
  absl::Status DumpLocalRoutes();
  absl::Status DumpRoutes();
  void TellDelivered();
  void GiveUp(WaitingMap::iterator waiting);
  void Schedule();
  void Publish();

  EventLoop& loop_;
  const int event_buffer_bytes_;
  NetlinkSocket events_;
  NetlinkSocket requests_;
  LinkTable table_;
  StateFn on_state_;
  WaitingMap waiting_;
  absl::Time local_routes_read_ = absl::InfinitePast();
  std::shared_ptr<const KernelState> published_;
  TimerId timer_ = 0;
  bool changed_ = false;
  bool routes_stale_ = false;
  bool all_stale_ = false;
  absl::Time next_publish_ = absl::InfinitePast();
  absl::Time next_route_dump_ = absl::InfinitePast();
  std::uint64_t resyncs_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_KERNEL_NETLINK_NETLINK_WATCH_H_
