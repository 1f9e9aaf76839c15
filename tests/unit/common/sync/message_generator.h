// SPDX-License-Identifier: Apache-2.0
// tests/unit/common/sync/message_generator.h -- any message that keeps the bounds of agent.proto, from a seed.
#ifndef BERTH_TESTS_UNIT_COMMON_SYNC_MESSAGE_GENERATOR_H_
#define BERTH_TESTS_UNIT_COMMON_SYNC_MESSAGE_GENERATOR_H_

#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/numeric/int128.h"
#include "common/sync/messages.h"
#include "common/sync/wire.h"

namespace berth::sync {

class MessageGenerator {
 public:
  explicit MessageGenerator(std::uint64_t seed) : random_(seed) {}

  ControllerMessage Controller() {
    switch (Below(8)) {
      case 0:
        return Snapshot{Number(),
                        Number(),
                        AnySettings(),
                        Several(&MessageGenerator::AnyAssignment),
                        Several(&MessageGenerator::AnyRemoval),
                        Several(&MessageGenerator::Address)};
      case 1:
        return Delta{Number(), Number(), Number(), Several(&MessageGenerator::AnyAssignment),
                     Several(&MessageGenerator::AnyRemoval)};
      case 2:
        return ProbeRequest{Number(), Number(), static_cast<ProbeKind>(Below(3)), Time(),
                            Several(&MessageGenerator::AnyProbeTarget)};
      case 3:
        return SettingsUpdate{Number(), AnySettings()};
      case 4:
        return NotLeader{Number(), Flip() ? "" : Name()};
      case 5:
        return Superseded{Number(), Name(), Text()};
      case 6:
        return Retire{Number(), Several(&MessageGenerator::Address)};
      default:
        return Cleanup{Number()};
    }
  }

  AgentMessage Agent() {
    switch (Below(6)) {
      case 0:
        return AnyHello();
      case 1:
        return Heartbeat{Number()};
      case 2:
        return Applied{Number(), Number()};
      case 3:
        return Rejected{Number(), Number(), Number(), Several(&MessageGenerator::AnyRejection)};
      case 4:
        return ProbeResult{Number(), Number(), Several(&MessageGenerator::AnyProbeAnswer)};
      default:
        return AnyReport();
    }
  }

  Hello AnyHello() {
    return {.node = Name(),
            .instance_id = Name(),
            .boot_id = Flip() ? "" : Name(),
            .started_ns = static_cast<std::int64_t>(Number() >> 1),
            .version = Flip() ? "" : Name(),
            .highest_term = Number(),
            .state = AnyStamp(),
            .interfaces = Several(&MessageGenerator::AnyInterface),
            .announced = Several(&MessageGenerator::AnyAnnounced),
            .local = Several(&MessageGenerator::Address),
            .probe_endpoint = Flip() ? "" : "192.0.2.1:7445",
            .wall_ns = Flip() ? 0 : static_cast<std::int64_t>(Number() >> 1),
            .layer2_off = Flip()};
  }

 private:
  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }
  bool Flip() { return Below(2) == 0; }
  // Ends of the range are as likely as all between.
  std::uint64_t Number() {
    constexpr std::array<std::uint64_t, 4> kEnds = {0, 1, std::numeric_limits<std::int64_t>::max(),
                                                    std::numeric_limits<std::uint64_t>::max()};
    const std::uint64_t pick = Below(8);
    return pick < kEnds.size() ? kEnds.at(pick) : random_();
  }
  absl::Duration Time() {  // whole nanoseconds, as the wire has them
    return Flip() ? absl::Milliseconds(1 + Below(3'600'000)) : absl::Nanoseconds(1'000'000 + Below(3'000'000'000));
  }
  std::string Name() {
    static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789-./:";
    std::string out(Flip() ? 1 + Below(20) : 1 + Below(253), 'x');
    for (char& c : out) c = kLetters[Below(sizeof(kLetters) - 1)];
    return out;
  }
  std::string Text() {
    std::string out;
    const std::uint64_t words = Below(30);
    for (std::uint64_t i = 0; i < words; ++i) out += Flip() ? "größer \n" : "no such device, ";
    return out;
  }
  IpAddr Address() {
    if (Flip()) return IpAddr::V4(static_cast<std::uint32_t>(random_()));
    return IpAddr::V6(absl::MakeUint128(random_() | (std::uint64_t{1} << 61), random_()));  // never IPv4-mapped
  }
  Cidr Prefix() {
    const IpAddr address = Address();
    return *Cidr::Make(address, static_cast<int>(Below(static_cast<std::uint64_t>(FamilyBits(address.family())) + 1)));
  }
  MacAddr Mac() {
    std::array<std::uint8_t, 6> bytes{};
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random_());
    return MacAddr(bytes);
  }
  Stamp AnyStamp() { return {Number(), Number()}; }
  PeerKey AnyKey() {
    PeerKey key{.id = Number() | 1, .secret = std::string(kPeerSecretSize, 'x')};
    for (char& c : key.secret) c = static_cast<char>(random_());
    return key;
  }
  Settings AnySettings() {
    return {.heartbeat = Time(), .agent_timeout = Time(), .peer_keys = Several(&MessageGenerator::AnyKey)};
  }
  Candidate AnyCandidate() {
    return {.node = Name(), .macs = Several(&MessageGenerator::Mac), .probe_endpoint = Flip() ? "" : "[2001:db8::1]:1"};
  }
  PortRef AnyPort() {
    constexpr std::array<const char*, 3> kProtocols = {"TCP", "UDP", "SCTP"};
    return {.protocol = kProtocols.at(Below(3)), .port = static_cast<std::uint16_t>(1 + Below(65535))};
  }
  ServiceRef AnyService() { return {.ns = Name(), .name = Name(), .ports = Several(&MessageGenerator::AnyPort)}; }
  Assignment AnyAssignment() {
    return {.address = Address(),
            .protocol = static_cast<Protocol>(Below(3)),
            .interface = Flip() ? "" : Name(),
            .role = static_cast<Role>(Below(4)),
            .since = AnyStamp(),
            .candidates = Several(&MessageGenerator::AnyCandidate),
            .yield_to = Several(&MessageGenerator::Mac),
            .services = Several(&MessageGenerator::AnyService)};
  }
  Removal AnyRemoval() { return {.address = Address(), .released = Flip()}; }
  ProbeTarget AnyProbeTarget() { return {.address = Address(), .interface = Name()}; }
  InterfaceInfo AnyInterface() {
    return {.name = Name(),
            .mac = Mac(),
            .up = Flip(),
            .prefixes = Several(&MessageGenerator::Prefix),
            .gateways = Several(&MessageGenerator::Address),
            .routes = Several(&MessageGenerator::Prefix)};
  }
  AnnouncedAddress AnyAnnounced() {
    return {.address = Address(),
            .interfaces = Several(&MessageGenerator::Name),
            .since = AnyStamp(),
            .rank = static_cast<std::uint32_t>(Number()),
            .repeating = Flip()};
  }
  Conflict AnyConflict() { return {.address = Address(), .interface = Name(), .mac = Mac()}; }
  Rejection AnyRejection() {
    Rejection out{.address = {}, .code = static_cast<RejectCode>(Below(10)), .message = Text(), .rival = {}};
    if (Flip()) out.address = Address();
    if (Flip()) out.rival = Mac();
    return out;
  }
  ProbeAnswer AnyProbeAnswer() {
    return {.address = Address(), .probed = Flip(), .macs = Several(&MessageGenerator::Mac), .message = Text()};
  }
  PeerState AnyPeer() { return {.node = Name(), .heard = Flip()}; }
  NodeFinding AnyFinding() {
    return {.severity = static_cast<NodeFinding::Severity>(Below(2)), .message = Text(), .cure = Text()};
  }
  Report AnyReport() {
    Report out;
    if (Flip()) out.interfaces = Several(&MessageGenerator::AnyInterface);
    if (Flip()) out.announced = Several(&MessageGenerator::AnyAnnounced);
    if (Flip()) out.conflicts = Several(&MessageGenerator::AnyConflict);
    out.leaving = Flip();
    out.cleaned = Flip();
    if (Flip()) out.peers = Several(&MessageGenerator::AnyPeer);
    if (Flip()) out.findings = Several(&MessageGenerator::AnyFinding);
    if (Flip()) out.wall_ns = static_cast<std::int64_t>(Number() >> 1);
    return out;
  }

  template <typename T>
  std::vector<T> Several(T (MessageGenerator::*make)()) {
    std::vector<T> out;
    const std::uint64_t count = Below(4);
    for (std::uint64_t i = 0; i < count; ++i) out.push_back((this->*make)());
    return out;
  }

  std::mt19937_64 random_;
};

}  // namespace berth::sync

#endif  // BERTH_TESTS_UNIT_COMMON_SYNC_MESSAGE_GENERATOR_H_
