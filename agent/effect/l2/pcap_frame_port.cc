// SPDX-License-Identifier: Apache-2.0
// The half that the loop thread calls; pcap_port_thread.cc is the other one.
#include "agent/effect/l2/pcap_frame_port.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "agent/effect/l2/pcap_frame_port_impl.h"
#include "common/base/errno_status.h"
#include "common/base/quiet_thread.h"

namespace berth::agent {
namespace {

// Groups joined or left by the caller of Publish, some 5 us each; the others by a worker, who gives way to the next
// caller after so many.
constexpr std::size_t kGroupsAtOnce = 200;
constexpr std::size_t kGroupsInBetween = 20;

}  // namespace

PcapFramePort::Impl::~Impl() {
  if (inbox_ != nullptr) inbox_->Detach();
  if (thread_.joinable()) {
    stop_.store(true);
    Wake();
    thread_.join();
  }
  worker_.reset();  // ends what it is opening, and leaves it in opened_
  if (wake_fd_ >= 0) close(wake_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

absl::Status PcapFramePort::Impl::Start(Observer& observer) {
  if (inbox_ != nullptr) return absl::FailedPreconditionError("the frame port was started before");
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return ErrnoStatus(errno, "create the frame port's epoll");
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return ErrnoStatus(errno, "create the frame port's eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;  // no interface has index 0
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) < 0)
    return ErrnoStatus(errno, "watch the frame port's eventfd");
  inbox_ = std::make_shared<SightingInbox>(loop_, observer);
  worker_ = std::make_unique<SerialWorker>();
  thread_ = StartQuietThread("berth-l2", [this] { Run(); });
  Wake();  // interfaces may have been named before
  return absl::OkStatus();
}

void PcapFramePort::Impl::Wake() {
  if (wake_fd_ < 0) return;
  const std::uint64_t one = 1;
  // EAGAIN means that the counter is full, and so that the thread is awake already.
  while (write(wake_fd_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

std::unique_lock<std::mutex> PcapFramePort::Impl::LockAnswers() {
  const std::lock_guard<std::mutex> next(turnstile_);
  return std::unique_lock<std::mutex>(answer_mutex_);
}

void PcapFramePort::Impl::SetInterfaces(const std::vector<PortInterface>& interfaces) {
  {
    const std::lock_guard<std::mutex> lock(control_mutex_);
    wanted_ = interfaces;
    targets_.clear();
    for (const PortInterface& interface : interfaces) targets_[interface.index] = absl::OkStatus();
  }
  Wake();
}

void PcapFramePort::Impl::Publish(std::shared_ptr<const AnswerTable> table) {
  if (table == nullptr) table = std::make_shared<AnswerTable>();
  std::map<int, Passing> passing;
  for (const auto& [index, each] : table->interfaces) passing[index] = {FilterFor(each), GroupsFor(each)};
  {
    const std::unique_lock<std::mutex> lock = LockAnswers();
    table_.swap(table);  // the old one is destroyed after the lock is gone: parameters outlive local variables
  }
  SetPassing(std::move(passing));
}

void PcapFramePort::Impl::SetPassing(std::map<int, Passing> passing) {
  const std::lock_guard<std::mutex> lock(gate_mutex_);
  std::erase_if(gates_, [&](const auto& each) { return each.second.open == nullptr && !passing.contains(each.first); });
  for (const auto& [index, gate] : gates_) passing.try_emplace(index);  // not in the table: lets nothing through
  for (auto& [index, wanted] : passing) {
    Gate& gate = gates_[index];
    if (gate.passing == wanted) continue;
    gate.passing = std::move(wanted);
    if (gate.open == nullptr) continue;
    if (const absl::Status s = Attach(index, gate); !s.ok()) inbox_->PostError(index, s);
  }
}

absl::Status PcapFramePort::Impl::Attach(int ifindex, const Gate& gate) {
  absl::Status status = Join(ifindex, gate);
  if (gate.open->Attach(CompileFilter(gate.passing.filter)).ok()) return status;
  // Too little memory for a large program is no reason to miss requests.
  status.Update(gate.open->Attach(CompileFilter(WidestFilter())));
  return status;
}

absl::Status PcapFramePort::Impl::Join(int ifindex, const Gate& gate) {
  gate.membership->Aim(gate.passing.groups);
  const absl::StatusOr<bool> done = gate.membership->Approach(kGroupsAtOnce);
  if (!done.ok()) return done.status();
  if (*done) return absl::OkStatus();
  // The capture is closed by the same worker, hence later.
  worker_->Submit([membership = gate.membership, inbox = inbox_, ifindex] {
    absl::StatusOr<bool> there = false;
    while (there.ok() && !*there) there = membership->Approach(kGroupsInBetween);
    if (!there.ok()) inbox->PostError(ifindex, there.status());
  });
  return absl::OkStatus();
}

// From now on Publish sets the filter and the groups of this capture; null when it is about to be closed.
absl::Status PcapFramePort::Impl::OpenGate(int ifindex, const PcapHandle* open) {
  const std::lock_guard<std::mutex> lock(gate_mutex_);
  Gate& gate = gates_[ifindex];
  if (gate.membership != nullptr) gate.membership->GiveUp();
  gate.membership = open == nullptr ? nullptr : std::make_shared<GroupMembership>(*open, ifindex);
  gate.open = open;
  return open == nullptr ? absl::OkStatus() : Attach(ifindex, gate);
}

void PcapFramePort::Impl::AnswerUntil(absl::Time until) {
  const std::unique_lock<std::mutex> lock = LockAnswers();
  answer_until_ = until;
}

absl::Status PcapFramePort::Impl::Send(int ifindex, const std::string& frame) {
  bool first = false;
  {
    const std::lock_guard<std::mutex> lock(control_mutex_);
    const auto target = targets_.find(ifindex);
    if (target == targets_.end()) {
      return absl::NotFoundError(absl::StrCat("interface with index ", ifindex, " is not one to send on"));
    }
    if (!target->second.ok()) return absl::UnavailableError(target->second.message());
    if (queued_.load(std::memory_order_relaxed) >= kMaxQueuedFrames) {
      return absl::UnavailableError(absl::StrCat(kMaxQueuedFrames, " frames wait to be sent already, try again later"));
    }
    queued_.fetch_add(1, std::memory_order_relaxed);
    first = outgoing_.empty();
    outgoing_.push_back({ifindex, frame});
  }
  if (first) Wake();
  return absl::OkStatus();
}

std::vector<PortStats> PcapFramePort::Impl::Stats() {
  std::vector<PortStats> stats;
  {
    const std::lock_guard<std::mutex> lock(control_mutex_);
    for (const auto& [name, counters] : counters_) stats.push_back(counters->Read(name));
    count_drops_ = true;
  }
  Wake();
  return stats;
}

PcapFramePort::PcapFramePort(EventLoop& loop) : impl_(std::make_unique<Impl>(loop)) {}
PcapFramePort::~PcapFramePort() = default;
absl::Status PcapFramePort::Start(Observer& observer) { return impl_->Start(observer); }
void PcapFramePort::SetInterfaces(const std::vector<PortInterface>& interfaces) { impl_->SetInterfaces(interfaces); }
void PcapFramePort::Publish(std::shared_ptr<const AnswerTable> table) { impl_->Publish(std::move(table)); }
void PcapFramePort::AnswerUntil(absl::Time until) { impl_->AnswerUntil(until); }
absl::Status PcapFramePort::Send(int ifindex, const std::string& frame) { return impl_->Send(ifindex, frame); }
std::vector<PortStats> PcapFramePort::Stats() const { return impl_->Stats(); }

}  // namespace berth::agent
