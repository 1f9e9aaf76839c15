// SPDX-License-Identifier: Apache-2.0
// agent/effect/l2/frame_port.h -- the seam to the wire: answers ARP and neighbour solicitations on its own thread,
// sends frames, reports sightings.
//
// Two implementations: PcapFramePort (pcap_frame_port.h: libpcap, one handle and filter per interface) and the port of
// the virtual LAN (tests/fakes). The answer path never waits for the loop: it reads the last published AnswerTable.
#ifndef BERTH_AGENT_EFFECT_L2_FRAME_PORT_H_
#define BERTH_AGENT_EFFECT_L2_FRAME_PORT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/net/ip_addr.h"
#include "common/net/mac_addr.h"

namespace berth::agent {

struct PortInterface {
  int index = 0;
  std::string name;
  MacAddr mac;
  friend bool operator==(const PortInterface&, const PortInterface&) = default;
};

// What the answer path knows of one interface.
struct InterfaceTable {
  MacAddr mac;                         // goes into answers as sender
  absl::flat_hash_set<IpAddr> answer;  // requests for these are answered
  absl::flat_hash_set<IpAddr> watch;   // frames in which somebody claims one of these are reported as sightings
};
// Immutable once published; keyed by interface index.
struct AnswerTable {
  std::map<int, InterfaceTable> interfaces;
};

// A frame in which somebody else claims a watched address: the MAC it names for it is not this interface's.
struct Sighting {
  int ifindex = 0;
  IpAddr address;           // ARP: sender protocol address; IPv6: an advertisement's target or a solicitation's source
  MacAddr mac;              // ARP: sender hardware address; IPv6: the option's, else the Ethernet source
  bool request = false;     // ARP request or solicitation; else a reply or an advertisement
  bool gratuitous = false;  // ARP: sender IP == target IP; IPv6: unsolicited, and overriding
};

struct AnswerStats {  // of one protocol
  // Well-formed requests that were looked at, whoever they are for. A real port has the kernel drop those for addresses
  // outside the ranges in which the table's lie.
  std::uint64_t requests = 0;
  std::uint64_t replies = 0;  // answers sent
  std::uint64_t limited = 0;  // of the requests, those left without an answer because their sender had too many
  // Capture timestamp to answer sent, a histogram: {upper bound in seconds, answers at most that slow}, cumulative and
  // ascending, the last bound infinite. Empty in ports without a capture timestamp.
  std::vector<std::pair<double, std::uint64_t>> reply_seconds{};
  double reply_seconds_sum = 0;
};

struct PortStats {  // cumulative since the interface was first opened
  std::string interface;
  AnswerStats arp, ndp;          // ndp: neighbour solicitations and advertisements (IPv6)
  std::uint64_t gratuitous = 0;  // gratuitous frames sent through Send
  std::uint64_t malformed = 0, stale = 0, dropped = 0, send_errors = 0;
};

class FramePort {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    virtual void OnSighting(const Sighting& sighting) = 0;  // loop thread
    // An interface could not be opened or vanished; retried when SetInterfaces names it again. Loop thread.
    virtual void OnInterfaceError(int ifindex, const absl::Status& status) = 0;
    // An interface is open: what comes in from now on is answered by the table. Once for each opening. Loop thread.
    virtual void OnInterfaceOpen(int ifindex) = 0;
  };
  virtual ~FramePort() = default;

  virtual absl::Status Start(Observer& observer) = 0;
  // The interfaces to listen on from now, or from Start if that comes later: opens new ones, reopens failed ones,
  // closes the rest. Keyed by index.
  virtual void SetInterfaces(const std::vector<PortInterface>& interfaces) = 0;
  // Replaces the table the answer path reads. On return no frame received later is judged by the old one.
  virtual void Publish(std::shared_ptr<const AnswerTable> table) = 0;
  // Answers only until `until` (the loop's monotonic time): the core renews it, so a process that stood still wakes
  // mute.
  virtual void AnswerUntil(absl::Time until) = 0;
  // Queues a whole Ethernet frame. Never blocks. A gratuitous one is dropped if, when its turn comes, the table does
  // not answer for its address. Errors: NotFound for an interface not open, Unavailable when it failed.
  virtual absl::Status Send(int ifindex, const std::string& frame) = 0;
  virtual std::vector<PortStats> Stats() const = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_EFFECT_L2_FRAME_PORT_H_
