// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/pcap_frame_port_impl.h -- the inside of PcapFramePort. Internal.
//
// What crosses threads is guarded by one of three locks. `answer_mutex_` covers judging the frames of one turn and
// sending the answers to them, and sending a few frames that wait, so that Publish and AnswerUntil cut off answers and
// announcements exactly; they wait for one turn at most, 0.1 ms. `control_mutex_` covers the mailbox: what the loop
// wants, what was opened, what to send. No system call but reading and sending frames is made under either.
#ifndef BERTH_AGENT_EFFECT_L2_PCAP_FRAME_PORT_IMPL_H_
#define BERTH_AGENT_EFFECT_L2_PCAP_FRAME_PORT_IMPL_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/effect/l2/frame_filter.h"
#include "agent/effect/l2/group_membership.h"
#include "agent/effect/l2/linger.h"
#include "agent/effect/l2/pcap_frame_port.h"
#include "agent/effect/l2/pcap_handle.h"
#include "agent/effect/l2/port_counters.h"
#include "agent/effect/l2/responder.h"
#include "agent/effect/l2/serial_worker.h"
#include "agent/effect/l2/sighting_inbox.h"
#include "agent/effect/l2/source_limits.h"

namespace berth::agent {

class PcapFramePort::Impl {
 public:
  explicit Impl(EventLoop& loop) : loop_(loop) {}
  ~Impl();

  absl::Status Start(Observer& observer);
  void SetInterfaces(const std::vector<PortInterface>& interfaces);
  void Publish(std::shared_ptr<const AnswerTable> table);
  void AnswerUntil(absl::Time until);
  absl::Status Send(int ifindex, const std::string& frame);
  std::vector<PortStats> Stats();

 private:
  // An interface that is wanted: being opened while `pcap` is null, open afterwards. Port thread.
  struct Lane {
    PortInterface interface;
    std::uint64_t opening = 0;  // which request to open is its own
    std::unique_ptr<PcapHandle> pcap;
    std::shared_ptr<PortCounters> counters;
    SourceLimits limits;
    std::uint64_t dropped_seen = 0;
    std::deque<std::string> outgoing;
    int busy_tries = 0;  // for the frame at the front
    absl::Time blocked_until = absl::InfinitePast();
  };
  struct Opened {
    int ifindex = 0;
    std::uint64_t opening = 0;
    absl::StatusOr<std::unique_ptr<PcapHandle>> handle;
  };
  struct Outgoing {
    int ifindex = 0;
    std::string frame;
  };
  // What came of the frames of one turn.
  static constexpr std::size_t kReadPerTurn = 32;
  struct Turn {
    std::int64_t began_ns = 0;  // CLOCK_REALTIME
    std::size_t read = 0;       // frames
    std::size_t limited = 0;    // of these, requests whose sender asks too often
    std::size_t replies = 0;    // of the arrays that follow, as many are filled in
    std::array<std::uint8_t, kReadPerTurn * kMaxReplySize> frames;
    std::array<std::uint8_t, kReadPerTurn> sizes;
    std::array<Family, kReadPerTurn> families;
    std::array<std::int64_t, kReadPerTurn> captured_ns;
    std::size_t sightings = 0;
    std::array<Sighting, kReadPerTurn> sighted;
  };

  // What the kernel lets through to the capture of one interface.
  struct Passing {
    FrameFilter filter;
    std::vector<IpAddr> groups;
    friend bool operator==(const Passing&, const Passing&) = default;
  };
  struct Gate {
    Passing passing;
    const PcapHandle* open = nullptr;             // the lane's
    std::shared_ptr<GroupMembership> membership;  // of `open`
  };

  void Wake();
  std::unique_lock<std::mutex> LockAnswers();
  void SetPassing(std::map<int, Passing> passing);
  absl::Status Attach(int ifindex, const Gate& gate);
  absl::Status Join(int ifindex, const Gate& gate);
  absl::Status OpenGate(int ifindex, const PcapHandle* open);

  // Port thread.
  void Run();
  int WaitMillis();
  void ReadMailbox();
  void ApplyWanted(const std::vector<PortInterface>& wanted);
  void BeginOpen(Lane& lane);
  void Close(Lane& lane);
  void EndOpen(Opened opened);
  void Fail(int ifindex, const absl::Status& status);
  void Retire(std::map<int, Lane>::iterator lane);
  void Receive(int ifindex);
  const InterfaceTable& TableOf(int ifindex) const;
  void Judge(const InterfaceTable& table, Lane& lane, absl::Span<const std::uint8_t> frame, std::int64_t captured_ns);
  void Reply(Lane& lane);
  void SendSome();
  void SendFromLane(Lane& lane, const InterfaceTable& table, absl::Time now);
  void CountDrops(Lane& lane);

  EventLoop& loop_;
  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  std::shared_ptr<SightingInbox> inbox_;
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> queued_{0};  // frames accepted by Send and not yet sent or given up

  // Taken by LockAnswers only. A mutex goes to whoever is running, so in a flood the port thread would take it again
  // and again before the loop, which has to wake up first. Who waits for it keeps the turnstile, and so comes next.
  std::mutex turnstile_;
  std::mutex answer_mutex_;  // guards table_ and answer_until_, and is held while frames are sent
  std::shared_ptr<const AnswerTable> table_ = std::make_shared<AnswerTable>();
  absl::Time answer_until_ = absl::InfinitePast();

  std::mutex control_mutex_;  // guards what follows, down to the empty line
  std::optional<std::vector<PortInterface>> wanted_;
  std::vector<Opened> opened_;
  std::vector<Outgoing> outgoing_;
  bool count_drops_ = false;
  std::map<int, absl::Status> targets_;  // where Send may send: OK, or why not
  std::map<std::string, std::shared_ptr<PortCounters>> counters_;

  std::mutex gate_mutex_;  // guards gates_, and is held while a filter is attached or a group joined
  std::map<int, Gate> gates_;

  // Port thread.
  std::map<int, Lane> lanes_;
  std::uint64_t next_opening_ = 1;
  Turn turn_;
  absl::Duration until_flush_ = absl::InfiniteDuration();  // finite while sightings wait in the inbox
  Linger linger_;
  bool flooded_ = false;  // somebody asks too often, and nobody waits

  std::unique_ptr<SerialWorker> worker_;
  std::thread thread_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_PCAP_FRAME_PORT_IMPL_H_
