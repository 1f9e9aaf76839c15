// SPDX-License-Identifier: Apache-2.0
#include "agent/effect/l2/frame_filter.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "absl/types/span.h"
#include "agent/effect/l2/ndp_packet.h"

namespace berth::agent {
namespace {

constexpr std::uint32_t kSenderIpAt = 28, kTargetIpAt = 38;      // of ARP
constexpr std::uint32_t kNextHeaderAt = 20, kTypeAt = 54;        // of IPv6, and of ICMPv6 right behind it
constexpr std::uint32_t kSourceTailAt = 34, kTargetTailAt = 74;  // the last 32 bits of IPv6 addresses
constexpr std::uint32_t kNextHeaderIcmpv6 = 58;
constexpr std::uint32_t kWholeFrame = 0x40000;
// The kernel moves a tag out of the frame; this asks for it there.
constexpr std::uint32_t kVlanTagPresent = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT);

using Program = std::vector<sock_filter>;

void Add(Program& program, unsigned code, std::uint32_t k, std::size_t jump_true = 0, std::size_t jump_false = 0) {
  program.push_back({static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(jump_true),
                     static_cast<std::uint8_t>(jump_false), k});
}

// Where membership changes: from `from` on, addresses are in (or out) until the next one.
struct Edge {
  std::uint32_t from = 0;
  bool inside = false;
};

std::vector<Edge> EdgesOf(const std::vector<AddressSpan>& spans) {
  std::vector<Edge> edges;
  for (const AddressSpan& span : spans) {
    edges.push_back({span.first, true});
    if (span.last != std::numeric_limits<std::uint32_t>::max()) edges.push_back({span.last + 1, false});
  }
  return edges;
}

// A search tree over the edges: each comparison is followed by the tree of what lies below it, then that of the rest. n
// edges make 2n + 1 instructions, so a jump passes over at most n + 1 of them. Inside ends the program with the frame
// let through; outside jumps behind the tree, which ends at instruction `end`.
void AddTree(Program& program, absl::Span<const Edge> edges, bool inside, std::size_t end) {
  if (edges.empty()) {
    if (inside) {
      Add(program, BPF_RET | BPF_K, kWholeFrame);
    } else {
      Add(program, BPF_JMP | BPF_JA, static_cast<std::uint32_t>(end - program.size() - 1));
    }
    return;
  }
  const std::size_t middle = edges.size() / 2;
  Add(program, BPF_JMP | BPF_JGE | BPF_K, edges[middle].from, 2 * middle + 1);
  AddTree(program, edges.subspan(0, middle), inside, end);
  AddTree(program, edges.subspan(middle + 1), edges[middle].inside, end);
}

void AddRefusal(Program& program) { Add(program, BPF_RET | BPF_K, 0); }

// Refuses the frame unless what was loaded is `value`.
void AddDemand(Program& program, std::uint32_t value) {
  Add(program, BPF_JMP | BPF_JEQ | BPF_K, value, 1);
  AddRefusal(program);
}

void AddVlanCheck(Program& program) {
  Add(program, BPF_LD | BPF_B | BPF_ABS, kVlanTagPresent);
  AddDemand(program, 0);
}

// Lets the frame through when the address at `offset` is in `spans`, else goes on behind.
void AddCheck(Program& program, std::uint32_t offset, const std::vector<AddressSpan>& spans) {
  if (spans.empty()) return;
  Add(program, BPF_LD | BPF_W | BPF_ABS, offset);
  const std::vector<Edge> edges = EdgesOf(spans);
  AddTree(program, edges, false, program.size() + 2 * edges.size() + 1);
}

void AddArp(Program& program, const FrameFilter& filter) {
  AddVlanCheck(program);
  AddCheck(program, kTargetIpAt, filter.targets);
  AddCheck(program, kSenderIpAt, filter.senders);
  AddRefusal(program);
}

void AddNeighbourDiscovery(Program& program, const FrameFilter& filter) {
  Add(program, BPF_LD | BPF_B | BPF_ABS, kNextHeaderAt);  // first, for most IPv6 is something else
  AddDemand(program, kNextHeaderIcmpv6);
  AddVlanCheck(program);
  Add(program, BPF_LD | BPF_B | BPF_ABS, kTypeAt);
  Add(program, BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(NdpKind::kSolicitation), 3);
  AddDemand(program, static_cast<std::uint32_t>(NdpKind::kAdvertisement));
  // An advertisement is let through by its target; a solicitation jumps over that.
  Program advertisement;
  AddCheck(advertisement, kTargetTailAt, filter.senders6);
  AddRefusal(advertisement);
  Add(program, BPF_JMP | BPF_JA, 1);
  Add(program, BPF_JMP | BPF_JA, static_cast<std::uint32_t>(advertisement.size()));
  program.insert(program.end(), advertisement.begin(), advertisement.end());
  AddCheck(program, kTargetTailAt, filter.targets6);
  AddCheck(program, kSourceTailAt, filter.senders6);
  AddRefusal(program);
}

}  // namespace

std::vector<AddressSpan> CoverOf(Family family, const absl::flat_hash_set<IpAddr>& addresses, std::size_t max_spans) {
  std::vector<std::uint32_t> sorted;
  sorted.reserve(addresses.size());
  for (const IpAddr& each : addresses) {
    if (each.family() == family) sorted.push_back(static_cast<std::uint32_t>(each.number() & 0xffffffffU));
  }
  std::sort(sorted.begin(), sorted.end());
  // A gap is told by the index of the address after it. The widest ones, one less than spans, stay gaps.
  std::vector<std::size_t> gaps;
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i] - sorted[i - 1] > 1) gaps.push_back(i);
  }
  if (gaps.size() >= max_spans) {
    const auto wider = [&](std::size_t a, std::size_t b) {
      const std::uint32_t width_a = sorted[a] - sorted[a - 1], width_b = sorted[b] - sorted[b - 1];
      return width_a != width_b ? width_a > width_b : a < b;
    };
    const auto end = gaps.begin() + static_cast<std::ptrdiff_t>(max_spans - 1);
    std::nth_element(gaps.begin(), end, gaps.end(), wider);
    gaps.erase(end, gaps.end());
    std::sort(gaps.begin(), gaps.end());
  }
  std::vector<AddressSpan> spans;
  if (sorted.empty()) return spans;
  std::size_t first = 0;
  for (const std::size_t gap : gaps) {
    spans.push_back({sorted[first], sorted[gap - 1]});
    first = gap;
  }
  spans.push_back({sorted[first], sorted.back()});
  return spans;
}

FrameFilter FilterFor(const InterfaceTable& table) {
  constexpr std::size_t kMax = FrameFilter::kMaxRanges;
  return {.targets = CoverOf(Family::kIpv4, table.answer, kMax),
          .senders = CoverOf(Family::kIpv4, table.watch, kMax),
          .targets6 = CoverOf(Family::kIpv6, table.answer, kMax),
          .senders6 = CoverOf(Family::kIpv6, table.watch, kMax)};
}

FrameFilter WidestFilter() {
  const std::vector<AddressSpan> all = {{0, std::numeric_limits<std::uint32_t>::max()}};
  return {.targets = all, .senders = {}, .targets6 = all, .senders6 = all};
}

std::vector<sock_filter> CompileFilter(const FrameFilter& filter) {
  const bool ipv6 = !filter.targets6.empty() || !filter.senders6.empty();
  Program program;
  Program arp;
  AddArp(arp, filter);
  // What is neither, which is nearly everything, leaves within a few steps.
  Add(program, BPF_LD | BPF_H | BPF_ABS, kEtherTypeAt);
  Add(program, BPF_JMP | BPF_JEQ | BPF_K, kEtherTypeArp, ipv6 ? 3 : 1);
  if (ipv6) Add(program, BPF_JMP | BPF_JEQ | BPF_K, kEtherTypeIpv6, 1);
  AddRefusal(program);
  if (ipv6) Add(program, BPF_JMP | BPF_JA, static_cast<std::uint32_t>(arp.size()));
  program.insert(program.end(), arp.begin(), arp.end());
  if (ipv6) AddNeighbourDiscovery(program, filter);
  return program;
}

}  // namespace berth::agent
