// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/kernel/netlink/netlink_watch.h"

#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace berth::agent {

NetlinkWatch::~NetlinkWatch() {
  if (timer_ != 0) loop_.Cancel(timer_);
  for (const auto& [address, waiting] : waiting_) loop_.Cancel(waiting.timer);
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
  const bool complete = events_.Drain([this](const nlmsghdr& message) {
    using Change = LinkTable::Change;
    const Change change = table_.Apply(message);
    changed_ |= change == Change::kState || change == Change::kStateAndRoutes;
    routes_stale_ |= change == Change::kRoutes || change == Change::kStateAndRoutes;
  });
  all_stale_ |= !complete;
  absl::Status status;
  if (all_stale_) {
    status = DumpLinksAndAddresses();
    if (status.ok()) {
      all_stale_ = false;
      ++resyncs_;
    }
    changed_ = routes_stale_ = true;
  }
  // A dump that failed is tried again with the next publication.
  if (changed_ || routes_stale_ || all_stale_) Schedule();
  TellDelivered();
  return status;
}

void NetlinkWatch::AwaitDelivery(const IpAddr& address, DoneFn done) {
  if (table_.Delivers(address)) return done(absl::OkStatus());
  const auto waiting = waiting_.emplace(address, Waiting{.timer = 0, .done = std::move(done)});
  waiting->second.timer = loop_.RunAfter(kPatience, [this, waiting] { GiveUp(waiting); });
}

void NetlinkWatch::TellDelivered() {
  std::vector<DoneFn> told;
  for (const IpAddr& address : table_.TakeDelivered()) {
    const auto [first, last] = waiting_.equal_range(address);
    for (auto waiting = first; waiting != last; ++waiting) {
      loop_.Cancel(waiting->second.timer);
      told.push_back(std::move(waiting->second.done));
    }
    waiting_.erase(first, last);
  }
  for (const DoneFn& done : told) done(absl::OkStatus());  // may call back into us
}

void NetlinkWatch::GiveUp(WaitingMap::iterator waiting) {
  const IpAddr address = waiting->first;
  const DoneFn done = std::move(waiting->second.done);
  waiting_.erase(waiting);
  // A dump may have left it out: the kernel does not say when its IPv6 routes change while it lists them.
  if (loop_.Now() - local_routes_read_ >= kPatience) {
    DumpLocalRoutes().IgnoreError();
    changed_ = true;
    Schedule();
    TellDelivered();
  }
  if (table_.Delivers(address)) return done(absl::OkStatus());
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
  return DumpLocalRoutes();
}

absl::Status NetlinkWatch::DumpLocalRoutes() {
  local_routes_read_ = loop_.Now();
  rtmsg local{};
  local.rtm_family = AF_INET6;
  local.rtm_type = RTN_LOCAL;
  return requests_.Dump(
      RTM_GETROUTE, &local, sizeof(local), [this] { table_.ClearLocalRoutes(); },
      [this](const nlmsghdr& message) { table_.Apply(message); });
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
