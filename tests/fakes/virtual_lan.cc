// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/virtual_lan.h"

#include <memory>
#include <utility>

#include "tests/fakes/neighbour_frame.h"

namespace berth {
namespace {

bool Reaches(const VirtualLan::Port& from, const VirtualLan::Port& to) {
  return to.carrier && !to.drop_all && from.group == to.group;
}

}  // namespace

VirtualLan::Port& VirtualLan::AddPort(std::string name, MacAddr mac, std::function<void(const std::string&)> on_frame) {
  ports_.push_back({.name = std::move(name), .mac = mac, .on_frame = std::move(on_frame)});
  return ports_.back();
}

void VirtualLan::Send(Port& from, const std::string& frame) {
  if (!from.carrier || from.drop_all || frame.size() < agent::kEthernetHeaderSize) return;
  if (const std::optional<agent::ArpPacket> told = ReadNeighbourFrame(frame)) {
    captured_.push_back({loop_.Now(), from.name, *told});
    on_captured(captured_.back());
  }
  const MacAddr to = *MacAddr::FromBytes(absl::string_view(frame).substr(0, 6));
  const auto shared = std::make_shared<const std::string>(frame);
  for (Port& port : ports_) {
    if (&port == &from || (!to.is_multicast() && port.mac != to) || !Reaches(from, port)) continue;
    if (loss_ > 0 && std::uniform_real_distribution<double>(0, 1)(random_) < loss_) continue;
    loop_.RunAfter(kLatency, [&from, &port, shared] {
      if (Reaches(from, port)) port.on_frame(*shared);
    });
  }
}

}  // namespace berth
