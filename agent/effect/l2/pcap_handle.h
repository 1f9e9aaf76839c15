// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/pcap_handle.h -- one open libpcap capture on one interface. Internal to PcapFramePort.
//
// Captures every incoming untagged ARP or neighbour discovery frame (filtered in the kernel) without waiting for more,
// with nanosecond timestamps. Opening takes about 10 ms and closing about 25 ms (the kernel waits for its readers), so
// neither belongs on a thread that others wait for; everything else never blocks. One thread at a time.
#ifndef BERTH_AGENT_EFFECT_L2_PCAP_HANDLE_H_
#define BERTH_AGENT_EFFECT_L2_PCAP_HANDLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/net/mac_addr.h"

struct pcap;
struct sock_filter;  // <linux/filter.h>

namespace berth::agent {

enum class InjectResult : std::uint8_t { kSent, kBusy, kFailed };  // kBusy: the queue is full now, try again

class PcapHandle {
 public:
  // `captured_ns` is CLOCK_REALTIME in nanoseconds. The bytes live until the call returns.
  using FrameFunction = absl::FunctionRef<void(absl::Span<const std::uint8_t> frame, std::int64_t captured_ns)>;

  // Opens interface number `ifindex` under whatever name it has now; `name` is for messages.
  //
  // Errors: NotFound            no such interface
  //         Aborted             it was renamed meanwhile: try again
  //         Unavailable         the interface is down
  //         PermissionDenied    no CAP_NET_RAW
  //         FailedPrecondition  not an Ethernet interface
  //         Internal            anything else libpcap says
  static absl::StatusOr<std::unique_ptr<PcapHandle>> Open(const std::string& name, int ifindex);
  ~PcapHandle();
  PcapHandle(const PcapHandle&) = delete;
  PcapHandle& operator=(const PcapHandle&) = delete;

  int fd() const { return fd_; }  // level triggered; call Dispatch on any event, errors included
  // Hands at most `max` waiting frames to `on_frame`. An interface that is down is no error: capture goes on once it is
  // up again. Errors, both final: NotFound when the interface is gone (but see Bound); Aborted when libpcap gave up
  // although it is there (it looks for its old name when the link goes down, so a rename may do that): open it again.
  absl::Status Dispatch(int max, FrameFunction on_frame);
  // Lets through only what `program` does, from the next frame on; until the first call all of the above. Replaces the
  // program before without losing a frame, and leaves what was captured already. Any thread. Errors: Internal when the
  // kernel refuses; then the program before stays.
  absl::Status Attach(const std::vector<sock_filter>& program) const;
  InjectResult Inject(absl::Span<const std::uint8_t> frame);
  // Sends the frames that begin every `stride` bytes at `frames`, of as many bytes as `sizes` says, at most kMaxInject
  // of them, in one system call if all goes well. Returns how many were sent; the others were refused and will not be
  // tried again.
  static constexpr std::size_t kMaxInject = 64;
  std::size_t InjectAll(absl::Span<const std::uint8_t> frames, std::size_t stride,
                        absl::Span<const std::uint8_t> sizes);
  // Has the interface take in frames to the group, or no longer; ends with the handle at the latest. Any thread.
  // Errors: ResourceExhausted or Internal when the kernel refuses.
  absl::Status SetMembership(const MacAddr& group, bool member) const;
  // False once the interface was deleted. Dispatch may not tell: the kernel raises one error, when the interface goes
  // down, and libpcap may look for the interface in the moment before it is gone.
  bool Bound() const;
  // Frames lost since Open because the buffer was full.
  std::uint64_t Dropped();

 private:
  PcapHandle(pcap* handle, std::string name, int ifindex);

  pcap* const handle_;
  const std::string name_;
  const int ifindex_;
  int fd_ = -1;
  std::uint64_t dropped_ = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_PCAP_HANDLE_H_
