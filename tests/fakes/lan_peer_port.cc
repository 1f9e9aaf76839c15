// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/lan_peer_port.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace berth::agent {
namespace {

// Ethernet header with the EtherType for local experiments, then addresses and ports (IPv4), then the packet.
constexpr absl::string_view kEtherType("\x88\xb5", 2);
constexpr std::size_t kHeader = 14 + 4 + 4 + 2 + 2;

std::string Bytes(const MacAddr& mac) { return std::string(mac.bytes().begin(), mac.bytes().end()); }
std::string Bytes(std::uint16_t port) { return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)}; }
std::uint16_t Port(absl::string_view two) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(two[0]) << 8 | static_cast<unsigned char>(two[1]));
}

}  // namespace

void LanPeerPort::SetInterfaces(const std::vector<PeerInterface>& interfaces) {
  open_ = std::any_of(interfaces.begin(), interfaces.end(), [&](const auto& i) { return i.index == end_.ifindex; });
}

void LanPeerPort::Send(const PeerPacket& packet) {
  const std::optional<MacAddr> to = end_.resolve(packet.address);
  if (!open_ || packet.ifindex != end_.ifindex || !to.has_value()) return;
  end_.send(absl::StrCat(Bytes(*to), Bytes(end_.mac), kEtherType, end_.ip.ToBytes(), packet.address.ToBytes(),
                         Bytes(packet.question ? port_ : kKnownPort), Bytes(packet.port), packet.bytes));
}

bool LanPeerPort::IsPeerFrame(absl::string_view frame) {
  return frame.size() > kHeader && frame.substr(12, 2) == kEtherType;
}

bool LanPeerPort::Receive(absl::string_view frame) {
  const std::uint16_t port = Port(frame.substr(24, 2));
  if (!open_ || frame.substr(18, 4) != end_.ip.ToBytes() || (port != port_ && port != kKnownPort)) return false;
  PeerPacket packet{.ifindex = end_.ifindex,
                    .address = *IpAddr::FromBytes(frame.substr(14, 4)),
                    .port = Port(frame.substr(22, 2)),
                    .question = port == port_,
                    .bytes = std::string(frame.substr(kHeader))};
  process_.Post([this, alive = std::weak_ptr<int>(alive_), packet = std::move(packet)] {
    if (!alive.expired() && open_ && observer_ != nullptr) observer_->OnPeerPacket(packet);
  });
  return true;
}

}  // namespace berth::agent
