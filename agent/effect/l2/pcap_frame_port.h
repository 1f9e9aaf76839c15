// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/pcap_frame_port.h -- the FramePort of a real machine: libpcap, a thread of its own.
//
//   PcapFramePort port(loop);
//   RETURN_IF_ERROR(port.Start(observer));
//   port.SetInterfaces({{.index = 2, .name = "eth0", .mac = mac}});
//   port.Publish(table);
//   port.AnswerUntil(loop.Now() + lease);   // and again, before that passes
//
// Threads. One thread reads, answers and sends; another one opens and closes captures, which takes tens of
// milliseconds. Neither waits for the loop, and the loop never waits for the wire. All methods belong to the loop
// thread, but Stats to any.
//
// Promises. Once Publish has returned no answer made from the old table leaves any more; once `until` has passed none
// leaves at all. A frame given to Send before its interface is open waits for that. At most 32 frames are read and 16
// sent per interface before the next one has its turn, so neither a flood nor a burst of announcements starves
// anything. Frames that cannot matter by the table are dropped in the kernel (frame_filter.h). Answers to requests that
// arrive together leave together; after answers in close succession the thread looks for more before it sleeps
// (linger.h). Performance: tools/bench arp, docs/measurements.md.
//
// Needs the capability NET_RAW. An interface that goes down and up stays captured. One that was renamed does too, or is
// reported when it was down just then; either way pass its new name in the next SetInterfaces. One that is deleted is
// reported at the next SetInterfaces that still names it, often at once; a new one of the same name or index needs a
// SetInterfaces, too.
#ifndef BERTH_AGENT_EFFECT_L2_PCAP_FRAME_PORT_H_
#define BERTH_AGENT_EFFECT_L2_PCAP_FRAME_PORT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/effect/l2/frame_port.h"
#include "common/base/event_loop.h"

namespace berth::agent {

class PcapFramePort final : public FramePort {
 public:
  static constexpr std::size_t kMaxQueuedFrames = 65'536;

  // `loop` is borrowed; its Now() must be callable from any thread, as RealEventLoop's is.
  explicit PcapFramePort(EventLoop& loop);
  ~PcapFramePort() override;  // loop thread; stops both threads, the observer hears nothing afterwards

  // `observer` is borrowed. Call once. Errors: Internal or ResourceExhausted when the kernel grants no descriptor.
  absl::Status Start(Observer& observer) override;
  void SetInterfaces(const std::vector<PortInterface>& interfaces) override;
  void Publish(std::shared_ptr<const AnswerTable> table) override;
  void AnswerUntil(absl::Time until) override;
  // Also Unavailable when kMaxQueuedFrames wait.
  absl::Status Send(int ifindex, const std::string& frame) override;
  // Any thread. `dropped` is what the kernel said at the call before this one.
  std::vector<PortStats> Stats() const override;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_PCAP_FRAME_PORT_H_
