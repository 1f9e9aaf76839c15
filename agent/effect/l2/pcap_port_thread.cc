// SPDX-License-Identifier: Apache-2.0
// The half of PcapFramePort that runs on its own thread.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "agent/effect/l2/announce_frames.h"
#include "agent/effect/l2/ether_bytes.h"
#include "agent/effect/l2/pcap_frame_port_impl.h"
#include "agent/effect/l2/responder.h"
#include "common/base/errno_status.h"

namespace berth::agent {
namespace {

constexpr int kSendPerTurn = 16;
// A full device queue drains within this, and after so many waits the frame is given up: a gratuitous frame half a
// second late is worth nothing, its successors are on the way.
constexpr absl::Duration kBusyPause = absl::Milliseconds(1);
constexpr int kMaxBusyTries = 500;
// In a flood waking up costs more than all that is done then, so that is done for many frames at once. Nobody notices
// so short a wait, and the capture's buffer holds what comes meanwhile, 14 million frames a second.
constexpr std::chrono::microseconds kFloodPause{250};

std::int64_t RealtimeNanos() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

absl::Span<const std::uint8_t> Bytes(const std::string& frame) {
  return {reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size()};
}

PortCounters::Answers& AnswersOf(PortCounters& counters, Family family) {
  return family == Family::kIpv4 ? counters.arp : counters.ndp;
}

void Count(PortCounters::Counter& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

void PcapFramePort::Impl::Run() {
  std::array<epoll_event, 64> events;
  while (!stop_.load()) {
    const int count = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), WaitMillis());
    bool mail = false;
    for (int i = 0; i < count; ++i) {
      const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
      if (tag == 0) {
        mail = true;
      } else {
        Receive(static_cast<int>(tag));
      }
    }
    if (mail) ReadMailbox();
    if (queued_.load(std::memory_order_relaxed) > 0) SendSome();
    if (until_flush_ != absl::InfiniteDuration()) until_flush_ = inbox_->Flush(loop_.Now());
    if (std::exchange(flooded_, false)) std::this_thread::sleep_for(kFloodPause);
  }
  lanes_.clear();
}

int PcapFramePort::Impl::WaitMillis() {
  const absl::Time now = loop_.Now();
  if (linger_.Looks(now)) return 0;
  absl::Duration wait = until_flush_;
  for (const auto& [index, lane] : lanes_) {
    if (lane.pcap != nullptr && !lane.outgoing.empty()) wait = std::min(wait, lane.blocked_until - now);
  }
  if (wait == absl::InfiniteDuration()) return -1;
  return static_cast<int>(
      absl::ToInt64Milliseconds(absl::Ceil(std::max(wait, absl::ZeroDuration()), absl::Milliseconds(1))));
}

void PcapFramePort::Impl::ReadMailbox() {
  std::uint64_t ignored = 0;
  while (read(wake_fd_, &ignored, sizeof ignored) < 0 && errno == EINTR) {
  }
  std::optional<std::vector<PortInterface>> wanted;
  std::vector<Opened> opened;
  std::vector<Outgoing> outgoing;
  bool count_drops = false;
  {
    const std::lock_guard<std::mutex> lock(control_mutex_);
    wanted.swap(wanted_);
    opened.swap(opened_);
    outgoing.swap(outgoing_);
    std::swap(count_drops, count_drops_);
  }
  for (Opened& each : opened) EndOpen(std::move(each));
  if (wanted.has_value()) ApplyWanted(*wanted);
  for (Outgoing& each : outgoing) {
    if (const auto lane = lanes_.find(each.ifindex); lane != lanes_.end()) {
      lane->second.outgoing.push_back(std::move(each.frame));
    } else {
      queued_.fetch_sub(1, std::memory_order_relaxed);  // the interface went meanwhile, and its observer was told
    }
  }
  if (count_drops) {
    for (auto& [index, lane] : lanes_) CountDrops(lane);
  }
}

void PcapFramePort::Impl::ApplyWanted(const std::vector<PortInterface>& wanted) {
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    const bool dead = lane->second.pcap != nullptr && !lane->second.pcap->Bound();
    const auto stays = [&](const PortInterface& each) {
      return !dead && each.index == lane->first && each.name == lane->second.interface.name;
    };
    const auto current = lane++;
    if (std::none_of(wanted.begin(), wanted.end(), stays)) Retire(current);
  }
  for (const PortInterface& each : wanted) {
    if (lanes_.count(each.index) != 0) continue;
    Lane& lane = lanes_[each.index];
    lane.interface = each;
    {
      const std::lock_guard<std::mutex> lock(control_mutex_);
      std::shared_ptr<PortCounters>& counters = counters_[each.name];
      if (counters == nullptr) counters = std::make_shared<PortCounters>();
      lane.counters = counters;
    }
    BeginOpen(lane);
  }
}

void PcapFramePort::Impl::BeginOpen(Lane& lane) {
  lane.opening = next_opening_++;
  worker_->Submit([this, interface = lane.interface, opening = lane.opening] {
    Opened opened{interface.index, opening, PcapHandle::Open(interface.name, interface.index)};
    {
      const std::lock_guard<std::mutex> lock(control_mutex_);
      opened_.push_back(std::move(opened));
    }
    Wake();
  });
}

void PcapFramePort::Impl::Close(Lane& lane) {
  if (lane.pcap == nullptr) return;
  CountDrops(lane);
  lane.dropped_seen = 0;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, lane.pcap->fd(), nullptr);
  OpenGate(lane.interface.index, nullptr).IgnoreError();
  worker_->Submit([handle = std::shared_ptr<PcapHandle>(std::move(lane.pcap))] {});
}

void PcapFramePort::Impl::EndOpen(Opened opened) {
  const auto lane = lanes_.find(opened.ifindex);
  if (lane == lanes_.end() || lane->second.opening != opened.opening) {  // nobody wants it any more
    if (opened.handle.ok()) {
      worker_->Submit([handle = std::shared_ptr<PcapHandle>(*std::move(opened.handle))] {});
    }
    return;
  }
  if (absl::IsAborted(opened.handle.status())) return BeginOpen(lane->second);
  if (!opened.handle.ok()) return Fail(opened.ifindex, opened.handle.status());
  lane->second.pcap = *std::move(opened.handle);
  if (const absl::Status s = OpenGate(opened.ifindex, lane->second.pcap.get()); !s.ok()) return Fail(opened.ifindex, s);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<std::uint64_t>(opened.ifindex);
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, lane->second.pcap->fd(), &event) < 0) {
    return Fail(opened.ifindex, ErrnoStatus(errno, absl::StrCat("watch interface ", lane->second.interface.name)));
  }
  inbox_->PostOpen(opened.ifindex);
}

void PcapFramePort::Impl::Fail(int ifindex, const absl::Status& status) {
  if (const auto lane = lanes_.find(ifindex); lane != lanes_.end()) Retire(lane);
  {
    const std::lock_guard<std::mutex> lock(control_mutex_);
    const auto target = targets_.find(ifindex);
    // A SetInterfaces that waits in the mailbox has asked to open it again: then it is open to Send once more.
    if (target != targets_.end() && !wanted_.has_value()) target->second = status;
  }
  inbox_->PostError(ifindex, status);
}

void PcapFramePort::Impl::Retire(std::map<int, Lane>::iterator position) {
  queued_.fetch_sub(position->second.outgoing.size(), std::memory_order_relaxed);
  Close(position->second);
  lanes_.erase(position);
}

void PcapFramePort::Impl::Receive(int ifindex) {
  const auto position = lanes_.find(ifindex);
  if (position == lanes_.end() || position->second.pcap == nullptr) return;
  Lane& lane = position->second;
  turn_.read = 0;
  turn_.limited = 0;
  turn_.replies = 0;
  turn_.sightings = 0;
  absl::Status status;
  {
    const std::unique_lock<std::mutex> lock = LockAnswers();
    const InterfaceTable& table = TableOf(ifindex);
    turn_.began_ns = RealtimeNanos();
    status = lane.pcap->Dispatch(static_cast<int>(kReadPerTurn),
                                 [&](absl::Span<const std::uint8_t> frame, std::int64_t captured_ns) {
                                   Judge(table, lane, frame, captured_ns);
                                 });
    if (turn_.replies > 0) Reply(lane);
  }
  flooded_ |= turn_.limited > 0 && turn_.read < kReadPerTurn;
  for (std::size_t i = 0; i < turn_.sightings; ++i) {
    turn_.sighted[i].ifindex = ifindex;
    inbox_->Add(turn_.sighted[i]);
    until_flush_ = absl::ZeroDuration();
  }
  if (absl::IsAborted(status)) {  // the interface is there: a new capture finds it under its new name
    Close(lane);
    BeginOpen(lane);
  } else if (!status.ok()) {
    Fail(ifindex, status);
  }
}

const InterfaceTable& PcapFramePort::Impl::TableOf(int ifindex) const {
  static const InterfaceTable kNothing;
  const auto found = table_->interfaces.find(ifindex);
  return found == table_->interfaces.end() ? kNothing : found->second;
}

void PcapFramePort::Impl::Judge(const InterfaceTable& table, Lane& lane, absl::Span<const std::uint8_t> frame,
                                std::int64_t captured_ns) {
  PortCounters& counters = *lane.counters;
  ++turn_.read;
  const RespondResult result = Respond(table, frame, absl::Nanoseconds(turn_.began_ns - captured_ns),
                                       turn_.frames.data() + turn_.replies * kMaxReplySize);
  if (result.request) Count(AnswersOf(counters, result.family).requests);
  if (result.verdict == Verdict::kMalformed) Count(counters.malformed);
  if (result.verdict == Verdict::kStale) Count(counters.stale);
  if (result.verdict == Verdict::kReply && !lane.limits.Admit(ReadMac(frame.data() + kEtherSourceAt), turn_.began_ns)) {
    ++turn_.limited;
    Count(AnswersOf(counters, result.family).limited);
  } else if (result.verdict == Verdict::kReply) {
    turn_.sizes[turn_.replies] = result.reply_size;
    turn_.families[turn_.replies] = result.family;
    turn_.captured_ns[turn_.replies++] = captured_ns;
  }
  if (result.sighting.has_value()) turn_.sighted[turn_.sightings++] = *result.sighting;
}

// Sends what the turn has made, under answer_mutex_.
void PcapFramePort::Impl::Reply(Lane& lane) {
  PortCounters& counters = *lane.counters;
  // The clocks are read last, the lease's after the other, so that a process which was stopped just before still keeps
  // silent.
  if (absl::Nanoseconds(RealtimeNanos() - turn_.captured_ns[0]) > kMaxRequestAge) {
    counters.stale.fetch_add(turn_.replies, std::memory_order_relaxed);
    return;
  }
  if (loop_.Now() >= answer_until_) return;
  const std::size_t sent = lane.pcap->InjectAll(absl::MakeConstSpan(turn_.frames.data(), turn_.replies * kMaxReplySize),
                                                kMaxReplySize, absl::MakeConstSpan(turn_.sizes.data(), turn_.replies));
  const std::int64_t sent_ns = RealtimeNanos();
  counters.send_errors.fetch_add(turn_.replies - sent, std::memory_order_relaxed);  // the asker asks again
  for (std::size_t i = 0; i < sent; ++i) {
    PortCounters::Answers& answers = AnswersOf(counters, turn_.families[i]);
    Count(answers.replies);
    answers.ObserveReply(absl::Nanoseconds(sent_ns - turn_.captured_ns[i]));
  }
  linger_.Answered(loop_.Now());
}

void PcapFramePort::Impl::SendSome() {
  const absl::Time now = loop_.Now();
  for (auto& [index, lane] : lanes_) {
    if (lane.pcap == nullptr || lane.outgoing.empty() || lane.blocked_until > now) continue;
    const std::unique_lock<std::mutex> lock = LockAnswers();
    SendFromLane(lane, TableOf(index), now);
  }
}

// Under answer_mutex_: once Publish has returned, nothing is announced that the table does not answer for.
void PcapFramePort::Impl::SendFromLane(Lane& lane, const InterfaceTable& table, absl::Time now) {
  for (int i = 0; i < kSendPerTurn && !lane.outgoing.empty(); ++i) {
    const std::string& frame = lane.outgoing.front();
    const std::optional<IpAddr> announced = AnnouncedBy(Bytes(frame));
    // It waited for its interface, or the process stood still, and meanwhile the address was given up.
    const bool given_up = announced.has_value() && (loop_.Now() >= answer_until_ || !table.answer.contains(*announced));
    if (!given_up) {
      const InjectResult result = lane.pcap->Inject(Bytes(frame));
      if (result == InjectResult::kBusy && ++lane.busy_tries < kMaxBusyTries) {
        lane.blocked_until = now + kBusyPause;
        return;
      }
      if (result != InjectResult::kSent) {
        Count(lane.counters->send_errors);
      } else if (announced.has_value()) {
        Count(lane.counters->gratuitous);
      }
    }
    lane.busy_tries = 0;
    lane.outgoing.pop_front();
    queued_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void PcapFramePort::Impl::CountDrops(Lane& lane) {
  if (lane.pcap == nullptr) return;
  const std::uint64_t dropped = lane.pcap->Dropped();
  lane.counters->dropped.fetch_add(dropped - lane.dropped_seen, std::memory_order_relaxed);
  lane.dropped_seen = dropped;
}

}  // namespace berth::agent
