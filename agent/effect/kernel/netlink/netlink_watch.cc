// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/netlink/netlink_watch.h"

#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace berth::agent {

NetlinkWatch::~NetlinkWatch() {
  if (timer_ != 0) loop_.Cancel(timer_);
  for (const Waiting& waiting : waiting_) loop_.Cancel(waiting.timer);
  if (on_state_ && events_.is_open()) loop_.UnwatchFd(events_.fd());
}

absl::Status NetlinkWatch::Open() {
  if (events_.is_open()) return Refresh();
  RETURN_IF_ERROR(requests_.OpenForRequests());
  RETURN_IF_ERROR(events_.OpenForEvents(event_buffer_bytes_));
  RETURN_IF_ERROR(DumpLinksAndAddresses());
  return DumpRoutes();
}

absl::Status NetlinkWatch::Start(StateFn on_state) {
  if (on_state_) return absl::FailedPreconditionError("netlink watch: started already");
  RETURN_IF_ERROR(Open());
  RETURN_IF_ERROR(loop_.WatchFd(events_.fd(), EPOLLIN, [this](std::uint32_t) { Refresh().IgnoreError(); }));
  on_state_ = std::move(on_state);
  RETURN_IF_ERROR(Refresh());
  Publish();
  return absl::OkStatus();
}

absl::Status NetlinkWatch::Refresh() {
  bool delivered = false;
  const bool complete = events_.Drain([&](const nlmsghdr& message) {
    const LinkTable::Change change = table_.Apply(message);
    using Change = LinkTable::Change;
    delivered |= change == Change::kDelivered;
    changed_ |= change == Change::kState || change == Change::kStateAndRoutes || change == Change::kDelivered;
    routes_stale_ |= change == Change::kRoutes || change == Change::kStateAndRoutes;
  });
  all_stale_ |= !complete;
  absl::Status status;
  if (all_stale_) {
    status = DumpLinksAndAddresses();
    if (status.ok()) {
      all_stale_ = false;
      delivered = true;
      ++resyncs_;
    }
    changed_ = routes_stale_ = true;
  }
  // A dump that failed is tried again with the next publication.
  if (changed_ || routes_stale_ || all_stale_) Schedule();
  if (delivered) TellDelivered();
  return status;
}

void NetlinkWatch::AwaitDelivery(const IpAddr& address, DoneFn done) {
  if (table_.Delivers(address)) return done(absl::OkStatus());
  waiting_.push_back({.address = address,
                      .timer = loop_.RunAfter(kPatience, [this, address] { GiveUp(address); }),
                      .done = std::move(done)});
}

void NetlinkWatch::TellDelivered() {
  const auto still = std::stable_partition(waiting_.begin(), waiting_.end(),
                                           [this](const Waiting& w) { return !table_.Delivers(w.address); });
  std::vector<Waiting> told(std::make_move_iterator(still), std::make_move_iterator(waiting_.end()));
  waiting_.erase(still, waiting_.end());
  for (const Waiting& waiting : told) loop_.Cancel(waiting.timer);
  for (const Waiting& waiting : told) waiting.done(absl::OkStatus());  // may call back into us
}

// The oldest of those who wait for `address`: they are in the order in which their patience ends.
void NetlinkWatch::GiveUp(const IpAddr& address) {
  const auto first =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.address == address; });
  const DoneFn done = std::move(first->done);
  waiting_.erase(first);
  done(absl::DeadlineExceededError(absl::StrCat(address.ToString(), ": the kernel has it, and after ",
                                                absl::FormatDuration(kPatience),
                                                " does not take in what comes for it yet (it has no local route)")));
}

void NetlinkWatch::NoteAdded(int ifindex, const LinkAddress& address) {
  const AddressMessage message{.gone = false, .ifindex = ifindex, .address = address, .peer = address.cidr.address()};
  if (table_.Apply(message) == LinkTable::Change::kNone) return;
  changed_ = true;
  Schedule();
}

absl::Status NetlinkWatch::DumpLinksAndAddresses() {
  const auto apply = [this](const nlmsghdr& message) { table_.Apply(message); };
  ifinfomsg links{};
  links.ifi_family = AF_UNSPEC;
  RETURN_IF_ERROR(requests_.Dump(RTM_GETLINK, &links, sizeof(links), [this] { table_.ClearLinks(); }, apply));
  ifaddrmsg addresses{};
  addresses.ifa_family = AF_UNSPEC;
  RETURN_IF_ERROR(
      requests_.Dump(RTM_GETADDR, &addresses, sizeof(addresses), [this] { table_.ClearAddresses(); }, apply));
  rtmsg local{};
  local.rtm_family = AF_INET6;
  local.rtm_type = RTN_LOCAL;
  return requests_.Dump(RTM_GETROUTE, &local, sizeof(local), [this] { table_.ClearLocalRoutes(); }, apply);
}

absl::Status NetlinkWatch::DumpRoutes() {
  const absl::Time begin = loop_.Now();
  LinkRoutes routes;
  for (const unsigned char family : {AF_INET, AF_INET6}) {
    LinkRoutes of_family;
    rtmsg header{};
    header.rtm_family = family;
    header.rtm_type = RTN_UNICAST;  // else every address of our own comes along as a local route
    RETURN_IF_ERROR(requests_.Dump(
        RTM_GETROUTE, &header, sizeof(header), [&] { of_family = LinkRoutes(); },
        [&](const nlmsghdr& message) { of_family.Add(DecodeRoute(message)); }));
    routes.Merge(of_family);
  }
  routes_stale_ = false;
  next_route_dump_ = loop_.Now() + std::max(kMinInterval, 10 * (loop_.Now() - begin));
  changed_ |= table_.ReplaceRoutes(std::move(routes));
  return absl::OkStatus();
}

void NetlinkWatch::Schedule() {
  if (!on_state_ || timer_ != 0) return;
  const absl::Time earliest = changed_ ? next_publish_ : std::max(next_publish_, next_route_dump_);
  timer_ = loop_.RunAt(std::max(loop_.Now(), earliest), [this] {
    timer_ = 0;
    Publish();
  });
}

void NetlinkWatch::Publish() {
  next_publish_ = loop_.Now() + kMinInterval;
  if (all_stale_) Refresh().IgnoreError();
  if (routes_stale_ && loop_.Now() >= next_route_dump_ && !DumpRoutes().ok()) {
    next_route_dump_ = loop_.Now() + absl::Seconds(1);
  }
  if (changed_ || published_ == nullptr) {
    changed_ = false;
    auto state = std::make_shared<const KernelState>(table_.Snapshot());
    if (published_ == nullptr || *state != *published_) {
      published_ = std::move(state);
      on_state_(published_);  // may call back into us
    }
  }
  if (changed_ || routes_stale_ || all_stale_) Schedule();
}

}  // namespace berth::agent
