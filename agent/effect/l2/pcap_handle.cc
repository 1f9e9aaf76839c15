// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/pcap_handle.h"

#include <linux/filter.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <pcap/pcap.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/errno_status.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"

namespace berth::agent {
namespace {

// The shorter, the more frames the buffer holds. ARP has 42 bytes, a solicitation or advertisement 78 and its options,
// of which hosts send one or two of 8 bytes: what has more than 42 is not whole, and so is not answered.
constexpr int kSnapLength = 120;
// Some 3,500 frames of 192 bytes: a thread that gets no processor for 170 ms loses none at 20,000 a second, and what
// waits longer than 200 ms is not answered.
constexpr int kBufferBytes = 672 * 1024;
constexpr int kReadTimeoutMillis = 1;  // unused in immediate mode, but 0 means "for ever" on some systems
// `not vlan` comes last on purpose: it shifts the offsets of what follows it. On a live capture it tests the tag that
// the kernel has moved out of the frame, so tagged frames are refused although their bytes look untagged.
constexpr char kFilter[] = "(arp or (ip6 and ip6[6] = 58 and (ip6[40] = 135 or ip6[40] = 136))) and not vlan";

std::string Describe(const std::string& name) { return absl::StrCat("interface ", Quote(name)); }

absl::Status FromPcap(int code, const std::string& name, const char* detail) {
  switch (code) {
    case PCAP_ERROR_NO_SUCH_DEVICE:
      return absl::NotFoundError(absl::StrCat(Describe(name), ": there is no such interface"));
    case PCAP_ERROR_IFACE_NOT_UP:
      return absl::UnavailableError(absl::StrCat(Describe(name), ": it is down, bring it up to capture on it"));
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
      return absl::PermissionDeniedError(
          absl::StrCat(Describe(name), ": capturing needs the capability NET_RAW (", detail, ")"));
    default:
      return absl::InternalError(absl::StrCat(Describe(name), ": ", pcap_statustostr(code), " (", detail, ")"));
  }
}

absl::StatusOr<std::string> CurrentName(const std::string& name, int ifindex) {
  char current[IF_NAMESIZE];
  if (if_indextoname(static_cast<unsigned>(ifindex), current) != nullptr) return std::string(current);
  return absl::NotFoundError(absl::StrCat(Describe(name), ": there is no interface with its index ", ifindex));
}

absl::Status Activate(pcap* handle, const std::string& name) {
  pcap_set_snaplen(handle, kSnapLength);
  pcap_set_promisc(handle, 0);
  pcap_set_immediate_mode(handle, 1);
  pcap_set_timeout(handle, kReadTimeoutMillis);
  pcap_set_buffer_size(handle, kBufferBytes);
  pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO);
  if (const int code = pcap_activate(handle); code < 0) return FromPcap(code, name, pcap_geterr(handle));
  if (pcap_datalink(handle) != DLT_EN10MB) {
    return absl::FailedPreconditionError(absl::StrCat(Describe(name), ": it is not an Ethernet interface"));
  }
  return absl::OkStatus();
}

absl::Status Filter(pcap* handle, const std::string& name) {
  if (pcap_setdirection(handle, PCAP_D_IN) < 0) return FromPcap(PCAP_ERROR, name, pcap_geterr(handle));
  bpf_program program{};
  if (pcap_compile(handle, &program, kFilter, /*optimize=*/1, PCAP_NETMASK_UNKNOWN) < 0) {
    return FromPcap(PCAP_ERROR, name, pcap_geterr(handle));
  }
  const int code = pcap_setfilter(handle, &program);
  pcap_freecode(&program);
  if (code < 0) return FromPcap(PCAP_ERROR, name, pcap_geterr(handle));
  char error[PCAP_ERRBUF_SIZE] = "";
  if (pcap_setnonblock(handle, 1, error) < 0) return FromPcap(PCAP_ERROR, name, error);
  return absl::OkStatus();
}

void Deliver(unsigned char* user, const pcap_pkthdr* header, const unsigned char* bytes) {
  // pcap asked for nanoseconds: tv_usec holds them.
  const std::int64_t captured_ns =
      static_cast<std::int64_t>(header->ts.tv_sec) * 1'000'000'000 + static_cast<std::int64_t>(header->ts.tv_usec);
  (*reinterpret_cast<PcapHandle::FrameFunction*>(user))(absl::MakeConstSpan(bytes, header->caplen), captured_ns);
}

}  // namespace

PcapHandle::PcapHandle(pcap* handle, std::string name, int ifindex)
    : handle_(handle), name_(std::move(name)), ifindex_(ifindex) {}

PcapHandle::~PcapHandle() { pcap_close(handle_); }

absl::StatusOr<std::unique_ptr<PcapHandle>> PcapHandle::Open(const std::string& name, int ifindex) {
  ASSIGN_OR_RETURN(const std::string current, CurrentName(name, ifindex));
  char error[PCAP_ERRBUF_SIZE] = "";
  pcap* raw = pcap_create(current.c_str(), error);
  if (raw == nullptr) return FromPcap(PCAP_ERROR, name, error);
  std::unique_ptr<PcapHandle> handle(new PcapHandle(raw, name, ifindex));
  const absl::Status activated = Activate(raw, name);
  // libpcap goes by the name, which may have changed in between and belong to another interface now.
  ASSIGN_OR_RETURN(const std::string after, CurrentName(name, ifindex));
  if (after != current) {
    return absl::AbortedError(absl::StrCat(Describe(name), ": it was renamed to ", Quote(after), " meanwhile"));
  }
  RETURN_IF_ERROR(activated);
  RETURN_IF_ERROR(Filter(raw, name));
  handle->fd_ = pcap_get_selectable_fd(raw);
  if (handle->fd_ < 0) return FromPcap(PCAP_ERROR, name, "no descriptor to wait on");
  return handle;
}

absl::Status PcapHandle::Dispatch(int max, FrameFunction on_frame) {
  const int code = pcap_dispatch(handle_, max, Deliver, reinterpret_cast<unsigned char*>(&on_frame));
  if (code >= 0 || code == PCAP_ERROR_BREAK) return absl::OkStatus();
  RETURN_IF_ERROR(CurrentName(name_, ifindex_).status());
  return absl::AbortedError(absl::StrCat(Describe(name_), ": capture ended (", pcap_geterr(handle_), ")"));
}

absl::Status PcapHandle::Attach(const std::vector<sock_filter>& program) const {
  // Not by pcap_setfilter, which lets nothing through for a moment while it empties the buffer. libpcap holds its own
  // filter to be in force still; it asks no more than that this one is not wider.
  sock_fprog whole{};
  whole.len = static_cast<unsigned short>(program.size());
  whole.filter = const_cast<sock_filter*>(program.data());  // only read
  if (setsockopt(fd_, SOL_SOCKET, SO_ATTACH_FILTER, &whole, sizeof whole) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat(Describe(name_), ": attach the capture filter"));
}

InjectResult PcapHandle::Inject(absl::Span<const std::uint8_t> frame) {
  if (pcap_inject(handle_, frame.data(), frame.size()) >= 0) return InjectResult::kSent;
  const bool busy = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
  return busy ? InjectResult::kBusy : InjectResult::kFailed;
}

absl::Status PcapHandle::SetMembership(const MacAddr& group, bool member) const {
  packet_mreq request{};
  request.mr_ifindex = ifindex_;
  request.mr_type = PACKET_MR_MULTICAST;
  request.mr_alen = static_cast<unsigned short>(group.bytes().size());
  std::copy(group.bytes().begin(), group.bytes().end(), request.mr_address);
  const int option = member ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP;
  if (setsockopt(fd_, SOL_PACKET, option, &request, sizeof request) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat(Describe(name_), member ? ": join" : ": leave", " group ", group.ToString()));
}

std::size_t PcapHandle::InjectAll(absl::Span<const std::uint8_t> frames, std::size_t stride,
                                  absl::Span<const std::uint8_t> sizes) {
  // libpcap has no call for many frames. Its descriptor is a packet socket bound to the interface: what pcap_inject
  // does is send() on it.
  std::array<iovec, kMaxInject> parts;
  std::array<mmsghdr, kMaxInject> messages;
  const std::size_t count = std::min({frames.size() / stride, sizes.size(), kMaxInject});
  for (std::size_t i = 0; i < count; ++i) {
    // sendmsg takes what it only reads as pointer to non-const.
    parts[i] = {const_cast<std::uint8_t*>(frames.data()) + i * stride, sizes[i]};
    messages[i] = {};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::size_t sent = 0;
  for (std::size_t next = 0; next < count;) {
    const int now = sendmmsg(fd_, &messages[next], static_cast<unsigned>(count - next), MSG_DONTWAIT);
    if (now > 0) {
      sent += static_cast<std::size_t>(now);
      next += static_cast<std::size_t>(now);
    } else if (errno != EINTR) {
      ++next;  // this one is refused, the next one may be not
    }
  }
  return sent;
}

bool PcapHandle::Bound() const {
  sockaddr_ll address{};
  socklen_t size = sizeof address;
  // The kernel sets the index to -1 when it takes the interface away from the socket.
  return getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sll_ifindex == ifindex_;
}

std::uint64_t PcapHandle::Dropped() {
  pcap_stat stats{};
  if (pcap_stats(handle_, &stats) == 0) dropped_ = stats.ps_drop;
  return dropped_;
}

}  // namespace berth::agent
