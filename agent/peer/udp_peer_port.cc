// SPDX-License-Identifier: Apache-2.0
#include "agent/peer/udp_peer_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/peer/packet.h"
#include "common/base/errno_status.h"
#include "common/obs/log.h"

namespace berth::agent {
namespace {

constexpr int kPacketsOfOneTurn = 64;  // then others have their turn

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// An IPv6 socket reaches IPv4 by mapped addresses.
SocketAddress AddressOf(const IpAddr& address, std::uint16_t port, bool ipv6) {
  SocketAddress out;
  if (!ipv6) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    const auto bytes = address.V4Bytes();
    std::memcpy(&v4->sin_addr, bytes.data(), bytes.size());
    out.size = sizeof *v4;
    return out;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  if (address.is_v4()) {
    const auto bytes = address.V4Bytes();
    v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&v6->sin6_addr.s6_addr[12], bytes.data(), bytes.size());
  } else {
    const auto bytes = address.V6Bytes();
    std::memcpy(v6->sin6_addr.s6_addr, bytes.data(), bytes.size());
  }
  out.size = sizeof *v6;
  return out;
}

bool Learn(const SocketAddress& from, PeerPacket& packet) {
  absl::string_view bytes;
  if (from.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&from.storage);
    bytes = {reinterpret_cast<const char*>(&v4->sin_addr), 4};
    packet.port = ntohs(v4->sin_port);
  } else {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&from.storage);
    bytes = {reinterpret_cast<const char*>(&v6->sin6_addr), 16};
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) bytes.remove_prefix(12);
    packet.port = ntohs(v6->sin6_port);
  }
  const absl::StatusOr<IpAddr> address = IpAddr::FromBytes(bytes);
  if (address.ok()) packet.address = *address;
  return address.ok();
}

// A socket of its own for one port (0: any) of one interface.
absl::StatusOr<int> Bind(const std::string& interface, const HostPort& at, std::uint16_t port, bool ipv6) {
  const int fd = ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ErrnoStatus(errno, "socket");
  const auto fail = [fd](const std::string& what) {
    const absl::Status status = ErrnoStatus(errno, what);
    ::close(fd);
    return status;
  };
  const int on = 1, off = 0;
  if (ipv6 && ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) return fail("both families");
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return fail("share the port");
  if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), static_cast<socklen_t>(interface.size())) != 0) {
    return fail(absl::StrCat("bind to interface ", interface));
  }
  IpAddr address = ipv6 ? IpAddr::V6(0) : IpAddr();
  if (!at.host.empty()) {
    absl::StatusOr<IpAddr> parsed = IpAddr::Parse(at.host);
    if (!parsed.ok()) {
      ::close(fd);
      return parsed.status();
    }
    address = *parsed;
  }
  SocketAddress where = AddressOf(address, port, ipv6);
  if (::bind(fd, where.get(), where.size) != 0) return fail(absl::StrCat("bind to port ", port));
  return fd;
}

}  // namespace

UdpPeerPort::~UdpPeerPort() {
  if (retry_ != 0) loop_.Cancel(retry_);
  for (const auto& [ifindex, sockets] : open_) Close(sockets);
}

absl::StatusOr<UdpPeerPort::Sockets> UdpPeerPort::Open(const PeerInterface& interface) const {
  const absl::StatusOr<IpAddr> host = IpAddr::Parse(listen_.host);
  Sockets sockets{.name = interface.name};
  // For both families, unless told otherwise or the kernel has no IPv6.
  sockets.ipv6 = !host.ok() || host->is_v6();
  absl::StatusOr<int> known = Bind(interface.name, listen_, listen_.port, sockets.ipv6);
  if (!known.ok() && !host.ok()) {
    sockets.ipv6 = false;
    known = Bind(interface.name, listen_, listen_.port, sockets.ipv6);
  }
  if (!known.ok()) return known.status();
  sockets.known = *known;
  const absl::StatusOr<int> ours = Bind(interface.name, listen_, 0, sockets.ipv6);
  if (!ours.ok()) {
    ::close(sockets.known);
    return ours.status();
  }
  sockets.ours = *ours;
  return sockets;
}

void UdpPeerPort::Close(const Sockets& sockets) {
  for (const int fd : {sockets.known, sockets.ours}) {
    loop_.UnwatchFd(fd);
    ::close(fd);
  }
}

void UdpPeerPort::SetInterfaces(const std::vector<PeerInterface>& interfaces) {
  wanted_ = interfaces;
  const auto gone = [&](int ifindex, const std::string& name) {
    return std::none_of(wanted_.begin(), wanted_.end(),
                        [&](const PeerInterface& w) { return w.index == ifindex && w.name == name; });
  };
  for (auto it = open_.begin(); it != open_.end();) {
    if (!gone(it->first, it->second.name)) {
      ++it;
      continue;
    }
    Close(it->second);
    it = open_.erase(it);
  }
  OpenMissing();
}

void UdpPeerPort::OpenMissing() {
  if (retry_ != 0) loop_.Cancel(std::exchange(retry_, 0));
  for (const PeerInterface& interface : wanted_) {
    if (open_.contains(interface.index)) continue;
    const absl::StatusOr<Sockets> sockets = Open(interface);
    if (sockets.ok()) {
      open_[interface.index] = *sockets;
      failed_.erase(interface.index);
      Watch(interface.index, sockets->known, false);
      Watch(interface.index, sockets->ours, true);
      continue;
    }
    if (retry_ == 0) {
      retry_ = loop_.RunAfter(kRetry, [this] {
        retry_ = 0;
        OpenMissing();
      });
    }
    if (failed_[interface.index] == sockets.status()) continue;
    failed_[interface.index] = sockets.status();
    LogWarn("other agents cannot be probed on an interface",
            {{"interface", interface.name}, {"error", sockets.status()}});
  }
}

void UdpPeerPort::Watch(int ifindex, int fd, bool ours) {
  const absl::Status watched =
      loop_.WatchFd(fd, EPOLLIN, [this, ifindex, fd, ours](std::uint32_t) { Read(ifindex, fd, ours); });
  if (!watched.ok()) LogWarn("other agents cannot be heard", {{"error", watched}});
}

void UdpPeerPort::Read(int ifindex, int fd, bool ours) {
  std::array<char, peer::kClaimsSize + 1> buffer;  // one byte more than any packet, so that a longer one shows
  for (int n = 0; n < kPacketsOfOneTurn; ++n) {
    SocketAddress from;
    from.size = sizeof from.storage;
    const ssize_t size = ::recvfrom(fd, buffer.data(), buffer.size(), 0, from.get(), &from.size);
    if (size < 0) {
      if (errno == EINTR || errno == ECONNREFUSED) continue;  // nobody listens where we asked
      return;
    }
    PeerPacket packet{.ifindex = ifindex,
                      .address = {},
                      .port = 0,
                      .question = ours,
                      .bytes = std::string(buffer.data(), static_cast<std::size_t>(size))};
    if (!Learn(from, packet)) continue;
    observer_->OnPeerPacket(std::move(packet));
    if (!open_.contains(ifindex)) return;  // the observer had it closed
  }
}

void UdpPeerPort::Send(const PeerPacket& packet) {
  const auto it = open_.find(packet.ifindex);
  if (it == open_.end() || (packet.address.is_v6() && !it->second.ipv6)) return;
  SocketAddress to = AddressOf(packet.address, packet.port, it->second.ipv6);
  const int fd = packet.question ? it->second.ours : it->second.known;
  (void)::sendto(fd, packet.bytes.data(), packet.bytes.size(), MSG_DONTWAIT, to.get(), to.size);
}

}  // namespace berth::agent
